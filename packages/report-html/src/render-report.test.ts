import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, test } from 'node:test';
import { REPORT_SECURITY_POLICY, renderReport } from './render-report.js';
import { attributeValues, tagsOf, textsOf } from './testing/read-page.js';
import { BARE_REPORT, fullReport, sampleLayer } from './testing/sample-reports.js';

const ALL_SECTIONS = [
  'summary',
  'gates',
  'frontier',
  'channels',
  'fine-tuning',
  'layers',
  'sensitivity',
  'histograms',
  'precisions',
  'artifacts',
  'all-layers',
  'reproduce',
];

function sectionsOf(page: string): string[] {
  const sections = tagsOf(page).filter(({ name }) => name === 'section');
  return attributeValues(sections, 'id');
}

const LATER_FIELDS = [
  ...['histogram', 'sensitivity', 'damages', 'causes', 'planes', 'frontier', 'recommendation', 'nce', 'fineTune'],
  ...['kernels', 'preprocess', 'acceleratedMs', 'acceleratedEngine'],
];

/** A layer table of the page, row by row, as text. */
function rowsOf(page: string): string[] {
  const [, table = ''] = /<section id="all-layers"(.*?)<\/section>/s.exec(page) ?? [];
  return [...table.matchAll(/<tr id="layer-\d+">.*?<\/tr>/g)].map(([row]) => row.replace(/<[^>]*>/g, '|'));
}

describe('the page of a report', () => {
  const page = renderReport(fullReport());

  test('has every section, each reached from the top', () => {
    assert.deepEqual(sectionsOf(page), ALL_SECTIONS);
    const links = attributeValues(tagsOf(page), 'href');
    assert.deepEqual(
      links.slice(0, ALL_SECTIONS.length),
      ALL_SECTIONS.map((id) => `#${id}`),
    );
  });

  test('leads nowhere else: every link is to a place in it, and every place has one name', () => {
    const tags = tagsOf(page);
    const ids = attributeValues(tags, 'id');
    assert.equal(new Set(ids).size, ids.length);
    for (const link of attributeValues(tags, 'href')) assert.ok(ids.includes(link.slice(1)), link);
  });

  test('loads and runs nothing, and its policy says so', () => {
    assert.doesNotMatch(page, /https?:|url\(|@import|<script|<link|<img|<iframe|javascript:/i);
    for (const { attributes } of tagsOf(page)) assert.doesNotMatch(attributes, /\s(on\w+|style|src|srcset|data)=/i);
    const [style] = textsOf(page, 'style');
    const digest = createHash('sha256').update(style!).digest('base64');
    assert.ok(REPORT_SECURITY_POLICY.startsWith(`default-src 'none'; style-src 'sha256-${digest}'; `));
    const [policy] = /(?<=http-equiv="Content-Security-Policy" content=")[^"]*/.exec(page) ?? [];
    assert.ok(REPORT_SECURITY_POLICY.startsWith(policy!.replaceAll('&#39;', "'")));
  });

  test('can be read without seeing it: drawings are described or hidden, table headers have a scope, tables a caption', () => {
    const tags = tagsOf(page);
    for (const { attributes } of tags.filter(({ name }) => name === 'svg')) {
      assert.match(attributes, / role="img" aria-label="[^"]{20,}"| aria-hidden="true"/);
    }
    for (const { attributes } of tags.filter(({ name }) => name === 'th'))
      assert.match(attributes, / scope="(row|col)"/);
    const count = (element: string) => tags.filter(({ name }) => name === element).length;
    assert.equal(count('caption'), count('table'));
    assert.equal(count('h1'), 1);
    assert.match(page, /<html lang="en">/);
  });

  test('says what was measured and whether it is enough', () => {
    assert.match(page, /<strong>1\.0 kB<\/strong> <span>4\.0× smaller than 4\.0 kB/);
    assert.match(page, /<strong>90\.25 %<\/strong> <span>1\.25 ± 0\.50 worse than 91\.50 %/);
    assert.match(page, /4\.00× as fast as 2\.00 ms/);
    assert.match(page, /✗ 2 of 3 gates failed/);
    assert.match(page, /✓ artifact verified/);
    const better = fullReport();
    better.accuracy!.drop = -0.2;
    assert.match(renderReport(better), /0\.20 ± 0\.50 better than/);
  });

  test('lists every layer with what it got instead of what was requested', () => {
    const rows = rowsOf(page);
    assert.equal(rows.length, 3);
    assert.match(rows[0]!, /name.*\/first.*int8, 8-bit input.*requested: ternary N=64, 8-bit input/);
    assert.match(rows[1]!, /64 × 64 × 3 × 3.*ternary N=64, 8-bit input.*12\.0 %.*40\.0 %.*0\.5\b.*−3\.0/);
    assert.doesNotMatch(rows[1]!, /requested/);
    assert.match(rows[2]!, /floating point/);
    assert.match(page, /2 of 3 layers did not get the precision that was requested/);
  });

  test('ranks the layers by their damage, with its causes, and says what to change', () => {
    const [, section = ''] = /<section id="sensitivity"(.*?)<\/section>/s.exec(page) ?? [];
    const rows = [...section.matchAll(/<tr><td>.*?<\/tr>/g)].map(([row]) => row.replace(/<[^>]*>/g, '|'));
    assert.equal(rows.length, 2);
    assert.match(
      rows[0]!,
      /name.*second.*0\.5.*inputs outside their range.*0\.25.*groups of weights became zero.*0\.01/,
    );
    assert.match(section, /Damage, nats/);
    assert.match(section, /take away 0\.4 \(78\.4 %\) of it and make the stored weights 1\.2 kB larger/);
    assert.deepEqual(JSON.parse(`{${textsOf(section, 'pre')[0]}}`), { layers: fullReport().recommendation!.patch });
  });

  test('tells what the training came to, with its curve and the epoch that the artifact is from', () => {
    const [, section = ''] = /<section id="fine-tuning"(.*?)<\/section>/s.exec(page) ?? [];
    assert.match(section, /the loss fell from 0\.4 to 0\.1, by 75\.0 %\. The artifact is from epoch 2 of 3\./);
    assert.match(section, /on 448 samples, 32 per update, by 2 threads, for 12\.5 s\..*that of 64 samples/s);
    assert.match(section, /aria-label="Loss on samples kept aside[^"]*over 3 epochs[^"]*"/);
    const rows = [...section.matchAll(/<tr><td>.*?<\/tr>/g)].map(([row]) => row.replace(/<[^>]*>/g, '|'));
    assert.equal(rows.length, 4);
    assert.match(rows[0]!, /^\|+0\|+0\.4\|+–\|+0\.5\|+start\|/);
    assert.match(rows[2]!, /^\|+2\|+0\.1\|+0\.12\|+8\.5\|+result\|/);
  });

  test('says that training did not help where no epoch was better than the start', () => {
    const report = fullReport();
    report.fineTune = { ...report.fineTune!, bestEpoch: 0 };
    const worse = renderReport(report);
    assert.match(worse, /No epoch of 3 had a lower loss .* than the start, 0\.4: the artifact is as it was/);
    assert.match(worse, /<title>Epoch 0: 0\.4<\/title>/);
    assert.doesNotMatch(worse, /the loss fell/);
  });

  test('reads well after a training that stopped before its first epoch, or gave no numbers', () => {
    const { fineTune, ...rest } = fullReport();
    const notANumber = JSON.parse('null');
    for (const curve of [
      [],
      fineTune!.curve.slice(0, 1),
      fineTune!.curve.map((point) => ({ ...point, trainingLoss: notANumber, heldOutLoss: notANumber })),
      fineTune!.curve.map((point) => ({ ...point, trainingLoss: 0, heldOutLoss: 0 })),
    ]) {
      const short = renderReport({ ...rest, fineTune: { ...fineTune!, bestEpoch: 0, curve } });
      tagsOf(short);
      assert.ok(sectionsOf(short).includes('fine-tuning'));
      assert.doesNotMatch(short, /undefined|NaN|Infinity|>null</);
    }
  });

  test('plots the drop on calibration data where there is no evaluation', () => {
    const drops = renderReport({ ...fullReport(), accuracy: null });
    assert.match(drops, /aria-label="Drop in agreement with the original, lower is better: 2 networks against size/);
    assert.match(page, /aria-label="Top-1 accuracy, higher is better: 5 networks against size/);
  });

  test('is the same for the same report', () => {
    assert.equal(renderReport(fullReport()), page);
  });
});

describe('the page of a report that lacks things', () => {
  test('leaves out what an early report does not have', () => {
    const page = renderReport(BARE_REPORT);
    tagsOf(page);
    assert.deepEqual(sectionsOf(page), ['summary', 'reproduce']);
    assert.match(page, /not measured: no evaluation data/);
  });

  for (const field of [
    'artifacts',
    'baseline',
    'accuracy',
    'latency',
    'layers',
    'gates',
    'warnings',
    'kept',
    'nce',
    'fineTune',
  ] as const) {
    test(`reads well without ${field}`, () => {
      const page = renderReport({ ...fullReport(), [field]: BARE_REPORT[field] });
      tagsOf(page);
      assert.doesNotMatch(page, /undefined|NaN|Infinity|\[object|>null</);
    });
  }

  test('reads well without the fields that came later', () => {
    const report = JSON.parse(JSON.stringify(fullReport()), (key, value) =>
      LATER_FIELDS.includes(key) ? undefined : value,
    );
    const page = renderReport(report);
    tagsOf(page);
    assert.deepEqual(
      sectionsOf(page),
      ALL_SECTIONS.filter((id) => !['histograms', 'sensitivity', 'channels', 'fine-tuning'].includes(id)),
    );
    assert.doesNotMatch(page, /undefined|NaN|Sensitivity|Kept|Within limits/);
    assert.match(page, /does not say how samples were preprocessed/);
  });
});

describe('text of others', () => {
  const HOSTILE = [
    '<script>alert(1)</script>',
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    '</title></style></svg></pre><h1>',
    '<!-- ]]> &lt;b&gt; &#60;i&#62;',
    '{{constructor}} ` \\',
    'javascript:alert(1)',
  ];
  // Places where a name may break depend on the name.
  const shape = (page: string) => tagsOf(page).filter(({ name }) => name !== 'wbr');

  for (const text of HOSTILE) {
    test(`stays text: ${text}`, () => {
      const page = renderReport(fullReport(text));
      assert.deepEqual(shape(page), shape(renderReport(fullReport())));
      assert.ok(textsOf(page, 'h1')[0]!.includes(text), 'the name is shown as it is');
    });
  }

  test('cannot hide, or turn the text around it', () => {
    const page = renderReport(fullReport('a\u202egnp.exe\u200b\u0000\u001b[31m\ud800\u2028b'));
    for (const character of ['\u202e', '\u200b', '\u0000', '\u001b', '\ud800', '\u2028']) {
      assert.ok(!page.includes(character), `U+${character.charCodeAt(0).toString(16)}`);
    }
    assert.ok(textsOf(page, 'h1')[0]!.startsWith('a\\u{202e}gnp.exe\\u{200b}\\u{0}\\u{1b}[31m\\u{d800}\\u{2028}b'));
  });

  test('is one line, and shortened in the middle when it is long', () => {
    assert.ok(textsOf(renderReport(fullReport('a\nb\tc')), 'h1')[0]!.startsWith('a\\u{a}b\\u{9}c'));
    const [title] = textsOf(renderReport(fullReport('x'.repeat(1e6))), 'h1');
    assert.ok(title!.length <= 140);
    assert.match(title!, /^x+…x*\.fgq-n64\.portable\.onnx$/);
    const nameless = { ...fullReport(), layers: [sampleLayer('')] };
    assert.match(rowsOf(renderReport(nameless))[0]!, /\(unnamed\)/);
  });
});

describe('large reports', () => {
  const layers = (count: number, name: string) => Array.from({ length: count }, (_, i) => sampleLayer(`${name}/${i}`));

  test('a thousand layers are less than a megabyte, all of them in chart and table', () => {
    const { nce: _, ...report } = fullReport();
    const page = renderReport({ ...report, layers: layers(1000, '/model/layers/self_attn/q_proj') });
    assert.ok(Buffer.byteLength(page) < 1e6, `${Buffer.byteLength(page)} bytes`);
    assert.equal(rowsOf(page).length, 1000);
    assert.equal(attributeValues(tagsOf(page), 'class').filter((name) => name === 'hover').length, 1000);
  });

  test('a hundred thousand layers with endless names are cut to what a browser can show', () => {
    const kept = layers(100_000, 'x'.repeat(1000)).map(({ node, op }) => ({ node, op, reason: node }));
    const page = renderReport({ ...fullReport(), layers: layers(100_000, 'x'.repeat(1000)), kept });
    assert.ok(Buffer.byteLength(page) < 2e6, `${Buffer.byteLength(page)} bytes`);
    assert.equal(rowsOf(page).length, 2000);
    assert.match(page, /and 98,000 more in the JSON report/);
    const ids = new Set(attributeValues(tagsOf(page), 'id'));
    for (const link of attributeValues(tagsOf(page), 'href')) assert.ok(ids.has(link.slice(1)), link);
  });
});
