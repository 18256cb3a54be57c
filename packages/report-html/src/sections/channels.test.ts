import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NceReport } from '@tritforge/contracts';
import { renderReport } from '../render-report.js';
import { tagsOf } from '../testing/read-page.js';
import { sampleNce } from '../testing/sample-nce.js';
import { BARE_REPORT } from '../testing/sample-reports.js';

/** The section of a report that has nothing else; its tags are balanced, and all of it is words. */
function sectionOf(nce: NceReport): string {
  const page = renderReport({ ...BARE_REPORT, nce });
  tagsOf(page);
  assert.doesNotMatch(page, /undefined|NaN|Infinity|\[object|>null</);
  return /<section id="channels"(.*?)<\/section>/s.exec(page)![1]!;
}

/** Rows of a table, as text. */
function rowsOf(section: string, caption: string): string[] {
  const [, body = ''] = new RegExp(`<caption>${caption}.*?<tbody>(.*?)</tbody>`, 's').exec(section) ?? [];
  return [...body.matchAll(/<tr>.*?<\/tr>/gs)].map(([row]) =>
    row
      .replace(/<wbr>/g, '')
      .replace(/<[^>]*>/g, '|')
      .replace(/\|+/g, '|'),
  );
}

const nce = sampleNce('net');
const section = sectionOf(nce);
const noNumber: number = JSON.parse('null');

test('there is no section without a search', () => {
  assert.doesNotMatch(renderReport(BARE_REPORT), /id="channels"|Channels/);
});

test('says what came out, before and after and against the limits', () => {
  assert.match(section, /Of 6 widths that could be chosen, 3 grew, 2 shrank and 1 stayed\./);
  assert.match(
    section,
    /sample: 12,501,632 before, 12,402,688 after \(−0\.8 %\), which is 99\.2 % of the limit of 12,501,632\./,
  );
  assert.match(
    section,
    /Parameters: 77,706 before, 76,990 after \(−0\.9 %\), which is 99\.1 % of the limit of 77,706\./,
  );
  assert.match(section, /on 2,048 samples for 18\.0 minutes/);
  assert.match(sectionOf({ ...nce, bytes: { original: 50, limit: 45, result: 44 } }), /artifact: 50 before, 44 after/);
  const wider = { original: 100, limit: 200, result: 150 };
  assert.match(sectionOf({ ...nce, macs: wider }), /100 before, 150 after \(\+50\.0 %\), which is 75\.0 % of the/);
});

test('says what exchanging channels came to, where that was asked for', () => {
  assert.doesNotMatch(section, /exchange/);
  const gained = sectionOf({ ...nce, refined: { networks: 1234, before: 0.51234, after: 0.5 } });
  assert.match(gained, /exchanged behind it, 1,234 networks measured: the loss went from 0\.5123 to 0\.5000\./);
  const stayed = sectionOf({ ...nce, refined: { networks: 13, before: 0.5, after: 0.5 } });
  assert.match(stayed, /No exchange of channels behind it lowered the loss of 0\.5000, 13 networks measured\./);
});

test('networks of other widths stand beside the result', () => {
  const name = 'uniform' as const;
  const control = { name, widths: [16], macs: 12_000_000, parameters: 75_000, sizeBytes: 45_600 };
  const measured = { accuracy: 80.5, drop: 7.25, pairedStandardError: 0.3, heldOutLoss: 0.51234 };
  const compared = sectionOf({ ...nce, controls: [{ ...control, ...measured }] });
  const [found, uniform, ...others] = rowsOf(compared, 'The result, and networks of other widths');
  assert.equal(others.length, 0);
  assert.match(found!, /as searched\|12,402,688\|76,990\|/);
  assert.match(uniform!, /all widths times one factor\|12,000,000\|75,000\|45\.6 kB\|–\|7\.25 ± 0\.30\|0\.512\|/);
  assert.doesNotMatch(section, /networks of other widths/);
});

test('channels that the recipe names have no course', () => {
  const named = sectionOf({ ...nce, course: [] });
  assert.match(named, /The recipe names the channels; nothing was searched\./);
  assert.doesNotMatch(named, /Course of the search|Searched on/);
});

for (const [result, word] of [
  [20, 'grew'],
  [12, 'shrank'],
  [16, 'stayed'],
] as const) {
  test(`one width that ${word} has a sentence of its own`, () => {
    const alone = sectionOf({ ...nce, widths: [{ ...nce.widths[0]!, result }] });
    assert.match(alone, new RegExp(`One width could be chosen, and it ${word}\\.`));
  });
}

test('tables have every width with its layers and ties, and every one that stays with its reason', () => {
  const widths = rowsOf(section, 'Widths that could be chosen');
  assert.equal(widths.length, 6);
  assert.match(
    widths[0]!,
    /net\/conv1\|, \|net\/stack1\/conv2\|16\|20\|▲ 25\.0 %\|net\/stack1\/Add\|: net needs as many/,
  );
  assert.match(widths[2]!, /net\/stack2\/conv1\|32\|32\|–\|/);
  assert.match(widths[3]!, /32\|26\|▼ 18\.8 %\|/);
  assert.deepEqual(rowsOf(section, 'Widths that stay'), ['|net/dense|10|net/dense|: net is an output|']);
});

test('the drawings have every width, with what it was and became', () => {
  assert.match(section, /aria-label="Channels before and after the search: one row for each of 6 widths/);
  assert.equal([...section.matchAll(/<rect class="c-before" x=/g)].length, 6);
  const maps = [...section.matchAll(/<figure>(.*?)<\/figure>/gs)].map(([, map]) => map!);
  assert.equal(maps.length, 6);
  assert.match(maps[0]!, /conv1<\/bdi> and 1 more<.*16 → 20 channels, ▲ 25\.0 %<.*[\d.]+ % likely in the end/s);
  assert.match(maps[2]!, /32 channels, as before/);
  assert.match(section, /class="limit"/);
});

test('a table has the losses, and of many epochs some', () => {
  const rows = rowsOf(section, 'Some epochs');
  assert.deepEqual(
    rows.map((row) => Number(row.split('|')[1])),
    [1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 20],
  );
  assert.match(rows[0]!, /^\|1\|0\.81\|0\.864\|9\.51\|59\.0 %\|/);
});

test('reads well after a search that stopped early, or gave no numbers', () => {
  const broken = nce.course.map((epoch) => ({
    ...epoch,
    ...{ trainingLoss: noNumber, choiceLoss: noNumber, macs: noNumber, parameters: noNumber },
    choices: epoch.choices.map(({ channels }) => ({ channels, probabilities: channels.map(() => noNumber) })),
  }));
  assert.doesNotMatch(sectionOf({ ...nce, course: [] }), /Course of the search/);
  assert.doesNotMatch(sectionOf({ ...nce, course: nce.course.slice(0, 1) }), /class="limit"/);
  assert.match(sectionOf({ ...nce, course: broken }), /<td>1<\/td><td>–<\/td><td>–<\/td>/);
  assert.doesNotMatch(
    sectionOf({ ...nce, course: nce.course.map((epoch) => ({ ...epoch, choices: [] })) }),
    /likely in the end/,
  );
  sectionOf({ ...nce, widths: [], fixed: [], course: [] });
  const nothing = { original: 0, limit: 0, result: 0 };
  sectionOf({ ...nce, macs: nothing, parameters: nothing, widths: [{ ...nce.widths[0]!, original: 0, layers: [] }] });
});

test('a thousand tied layers and a thousand widths are cut to what a browser can show', () => {
  const long = 'x'.repeat(1000);
  const layers = Array.from({ length: 1000 }, (_, layer) => `${long}${layer}`);
  const ties = layers.map((node) => ({ node, why: `${node} needs it` }));
  const widths = Array.from({ length: 1000 }, () => ({ ...nce.widths[0]!, layers, ties }));
  const channels = Array.from({ length: 1000 }, (_, at) => at + 1);
  const course = Array.from({ length: 200 }, (_, at) => {
    const choice = { channels, probabilities: channels.map((_, i) => ((i * 7919 + at * 104_729) % 97) / 4850) };
    return { ...nce.course[0]!, epoch: at + 1, choices: widths.map(() => choice) };
  });
  const fixed = widths.map(() => ({ layers, channels: 8, reasons: ties }));
  const large = sectionOf({ ...nce, widths, fixed, course });
  assert.ok(Buffer.byteLength(large) < 3e6, `${Buffer.byteLength(large)} bytes`);
  assert.match(large, /the first 100 of 1,000 widths/);
  assert.match(large, /and 964 more in the JSON report/);
  assert.match(large, /and 992 more in the JSON report/);
  assert.equal(rowsOf(large, 'Widths that could be chosen').length, 200);
  assert.equal(rowsOf(large, 'Widths that stay').length, 200);
});
