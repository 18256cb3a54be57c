import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { SETTINGS as API_SETTINGS } from '@tritforge/api/settings';
import { SETTINGS as WORKER_SETTINGS } from '@tritforge/worker/settings';
import { eventually } from './support/eventually.js';
import { type Stack, startStack } from './support/stack.js';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', '..');
const readme = readFileSync(path.join(root, 'README.md'), 'utf8');

/** The blocks of a language below a heading, up to the next one. */
function blocks(heading: string, language: 'sh' | 'js'): string {
  const section = readme.split(`${heading}\n`)[1]?.split(/\n##/)[0];
  assert.ok(section !== undefined, `README.md has no heading "${heading}"`);
  const found = [...section.matchAll(new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``, 'g'))];
  return found.map((match) => match[1]).join('\n');
}

/** Runs the blocks below a heading, and gives what they print. */
async function paste(heading: string, cwd: string, of = stack): Promise<string> {
  return outputOf('bash', ['-euo', 'pipefail', '-c', blocks(heading, 'sh')], cwd, of);
}

async function outputOf(command: string, args: readonly string[], cwd: string, of = stack): Promise<string> {
  const shell = spawn(command, args, {
    cwd,
    env: { ...process.env, TRITFORGE: of.url, TRITFORGE_SERVER: of.url, DATABASE_URL: of.databaseUrl },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [shell.stdout, shell.stderr]) stream.on('data', (chunk) => (output += chunk));
  const status = await new Promise((resolve) => shell.once('close', resolve));
  assert.equal(status, 0, output);
  return output;
}

const hasTool = (name: string) => spawnSync(name, ['--version']).status === 0;
const missing = ['bash', 'curl'].find((name) => !hasTool(name));

let stack: Stack;
before(async () => {
  stack = await startStack({ workers: 1 });
});
after(async () => stack.close());

/** A folder with the example in it, which is gone afterwards. */
async function withExample(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'tritforge-readme-'));
  try {
    mkdirSync(path.join(folder, 'examples'));
    cpSync(path.join(root, 'examples/shapes'), path.join(folder, 'examples/shapes'), { recursive: true });
    await work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

test('the curl lines of the README work when pasted', { skip: missing && `there is no ${missing} here` }, () =>
  withExample(async (folder) => {
    await paste('### The API by curl', folder);
    const report = JSON.parse(readFileSync(path.join(folder, 'report.json'), 'utf8'));
    assert.equal(report.gates[0].name, 'maxAccuracyDrop');
    assert.equal(readFileSync(path.join(folder, 'model.fgq.onnx')).length, report.artifacts[0].sizeBytes);
  }),
);

test('the lines about large files work when pasted', { skip: missing && `there is no ${missing} here` }, async () => {
  assert.match(await paste('### Large files', root), /"id":"mdl_\w+","fileName":"model.onnx"/);
});

test('the lines about uploads straight to the bucket work when pasted', {
  skip: missing && `there is no ${missing} here`,
}, async () => {
  const of = await startStack({ storage: 's3' });
  try {
    const output = await paste('#### Straight to the bucket', root, of);
    assert.match(output, /"finishedAt":"2.*"id":"mdl_\w+","fileName":"model.onnx"/s);
  } finally {
    await of.close();
  }
});

test('the lines about following jobs work when pasted', { skip: missing && `there is no ${missing} here` }, () =>
  withExample(async (folder) => {
    const stream = await paste('### Following jobs', folder);
    assert.equal(JSON.parse(readFileSync(path.join(folder, 'waited.json'), 'utf8')).state, 'succeeded');
    assert.match(stream, /event: job\.queued\n.*event: job\.succeeded\n/s);
  }),
);

test('the lines about sending again work when pasted', { skip: missing && `there is no ${missing} here` }, async () => {
  const jobs = [await paste('### Sending again', root), await paste('### Sending again', root)];
  assert.match(jobs[0]!, /"state":"queued"/);
  assert.equal(jobs[1], jobs[0]);
});

test('the lines about traces work when pasted', { skip: missing && `there is no ${missing} here` }, async () => {
  assert.match(await paste('### Traces', root), /"state":"queued".*Look for the trace [0-9a-f]{32}\n/s);
});

test('the lines about retention work when pasted', { skip: missing && `there is no ${missing} here` }, async () => {
  assert.match(await paste('### Retention', root), /"id":"mdl_\w+".*"expiresAt":null/);
  const audited = async () => {
    const { items } = (await (await stack.fetch('/audit')).json()) as { items: { action: string; status: number }[] };
    return items.slice(0, 2).map(({ action, status }) => `${action} ${status}`);
  };
  await eventually(async () => (await audited()).join() === 'deleteJob 204,updateModel 200');
});

test('the lines about keys work when pasted', { skip: missing && `there is no ${missing} here` }, async () => {
  const output = await paste('### Keys and projects', root);
  assert.match(output, /Made the project vision/);
  assert.match(output, /\{"items":\[\],"nextCursor":null\}/);
  assert.match(output, /^nightly +key_.* vision +tf_/m);
});

test(
  'the lines about the command line on a service work when pasted',
  {
    skip: missing && `there is no ${missing} here`,
  },
  () =>
    withExample(async (folder) => {
      const script = JSON.stringify(path.join(root, 'scripts/tritforge.mjs'));
      writeFileSync(path.join(folder, 'package.json'), JSON.stringify({ scripts: { tritforge: `node ${script}` } }));
      const output = await paste('### From the command line of another machine', folder);
      assert.match(output, /original +int8 +fgq N=4\n/);
      assert.match(output, /^gate maxAccuracyDrop +passed/m);
      assert.match(output, /^state +succeeded$/m);
      assert.deepEqual(readdirSync(path.join(folder, 'weights-only')).sort(), [
        'model.fgq-n64.portable.onnx',
        'model.fgq-n64.report.html',
        'model.fgq-n64.report.json',
      ]);
    }),
);

test('the lines about TypeScript work when pasted', () =>
  withExample(async (folder) => {
    symlinkSync(path.join(root, 'node_modules'), path.join(folder, 'node_modules'));
    const code = blocks('### From TypeScript', 'js');
    const output = await outputOf(process.execPath, ['--input-type=module', '--eval', code], folder);
    assert.match(output, /\[ 'out\/model\.fgq-n4\.portable\.onnx' \]/);
    assert.ok(existsSync(path.join(folder, 'out/model.fgq-n4.portable.onnx')));
  }));

test('the README names every setting of API and worker with its meaning', () => {
  for (const { env, meaning } of Object.values({ ...API_SETTINGS, ...WORKER_SETTINGS })) {
    const line = readme.split('\n').find((text) => text.startsWith(`| \`${env}\` |`));
    assert.ok(line?.includes(meaning), `README.md lacks ${env}: ${meaning}`);
  }
});

test('the links of the documents lead to files that exist', () => {
  const documents = [
    ...['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'CHANGELOG.md'],
    ...['docs/datasets.md', 'docs/operations.md', 'docs/security.md', 'test/campaign/README.md'],
    ...['clients/python/README.md', 'examples/github-action/README.md', 'examples/airflow/README.md'],
  ];
  for (const document of documents) {
    const text = readFileSync(path.join(root, document), 'utf8');
    for (const [, target] of text.matchAll(/\]\((?!https?:|#)([^)#]+)/g)) {
      const file = path.join(root, path.dirname(document), target!);
      assert.ok(existsSync(file), `${document} links to ${target}, which does not exist`);
    }
  }
});
