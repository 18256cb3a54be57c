/**
 * `npm run demo`: starts the service with a database of its own, quantizes the example model over HTTP at several
 * precisions, prints what came out, leaves the artifacts in demo-output/ and ends.
 */
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, openAsBlob, openSync, rmSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { main, root, setUp } from './setup.mjs';
import { Stack, stopOnSignal } from './stack.mjs';

const example = path.join(root, 'examples', 'shapes');
const output = path.join(root, 'demo-output');
const POLL_MS = 200;

const RECIPES = [
  { label: 'FGQ N=4', recipe: { method: 'fgq', weights: { groupSize: 4 } } },
  { label: 'FGQ N=16', recipe: { method: 'fgq', weights: { groupSize: 16 } } },
  { label: 'FGQ N=64', recipe: { method: 'fgq', weights: { groupSize: 64 } } },
  { label: 'int8', recipe: { method: 'int8' } },
];

function freePort() {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

async function call(url, options) {
  const response = await fetch(url, options);
  const body = response.status === 204 ? null : await response.json();
  if (!response.ok)
    throw new Error(`${options?.method ?? 'GET'} ${url}: ${body.code}: ${body.detail} ${body.remediation ?? ''}`);
  return body;
}

async function upload(url, files, fields = {}) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.set(name, value);
  for (const [name, file] of Object.entries(files)) form.set(name, await openAsBlob(path.join(example, file)), file);
  return await call(url, { method: 'POST', body: form });
}

async function finished(url, label, id) {
  for (;;) {
    const job = await call(`${url}/jobs/${id}`);
    if (process.stderr.isTTY) {
      const progress = job.progress ? ` ${job.progress.done}/${job.progress.total} ${job.progress.unit}` : '';
      process.stderr.write(`\r\u001b[K  ${label}: ${job.phase ?? job.state}${progress}`);
    }
    if (job.state === 'succeeded') return job;
    if (job.state !== 'queued' && job.state !== 'running') {
      throw new Error(`${label}: the job ended as ${job.state}: ${job.error?.code} ${job.error?.message ?? ''}`);
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** Downloads an artifact and compares it with the digest that the service gave. */
async function download(url, artifact) {
  const response = await fetch(`${url}/artifacts/${artifact.id}/content`);
  const bytes = Buffer.from(await response.arrayBuffer());
  const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  if (digest !== artifact.digest)
    throw new Error(`${artifact.fileName}: the download has another digest than the artifact.`);
  const file = path.join(output, artifact.fileName);
  await writeFile(file, bytes);
  return file;
}

const kilobytes = (bytes) => `${(bytes / 1000).toFixed(1)} kB`;
const milliseconds = (ms) => (ms === null ? '–' : `${ms.toFixed(3)} ms`);
const percent = (value) => (value === null || value === undefined ? '–' : `${value.toFixed(2)} %`);

function printTable(rows) {
  const header = ['', 'size', 'bits/weight', 'accuracy', 'agreement', 'latency', 'speed-up'];
  const widths = header.map((_, i) => Math.max(...[header, ...rows].map((row) => row[i].length)));
  for (const row of [header, widths.map((width) => '─'.repeat(width)), ...rows]) {
    process.stdout.write(
      `  ${row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join('  ')}\n`,
    );
  }
}

/** One row of the table: the original, which every report measures anew, is taken from the first report. */
function rowsOf(results) {
  const { model, accuracy, latency } = results[0].report;
  const original = [
    'original',
    kilobytes(model.sizeBytes),
    ((model.sizeBytes * 8) / model.parameters).toFixed(2),
    percent(accuracy.original),
    '–',
    milliseconds(latency.originalMs),
    '1.00×',
  ];
  const quantized = [...results]
    .reverse()
    .map(({ label, report }) => [
      label,
      kilobytes(report.artifacts[0].sizeBytes),
      report.artifacts[0].bitsPerWeight.wholeModel.toFixed(2),
      percent(report.accuracy.quantized),
      percent(report.accuracy.agreement),
      milliseconds(report.latency.quantizedMs),
      `${(report.latency.originalMs / report.latency.quantizedMs).toFixed(2)}×`,
    ]);
  return [original, ...quantized];
}

async function demonstrate(url) {
  process.stdout.write(`The service runs at ${url}. Uploading the example model and its images …\n`);
  const preprocess = await readFile(path.join(example, 'preprocess.json'), 'utf8');
  const model = await upload(`${url}/models`, { model: 'model.onnx' });
  const calibration = await upload(`${url}/datasets`, { data: 'calibration.npz' }, { preprocess });
  const evaluation = await upload(`${url}/datasets`, { data: 'evaluation.zip' }, { preprocess });
  const { summary } = evaluation;
  process.stdout.write(
    `  ${model.fileName}: ${model.summary.parameters} parameters, ${model.summary.quantizableLayers} quantizable layers; ${summary.samples} evaluation images\n`,
  );
  const jobs = [];
  for (const { label, recipe } of RECIPES) {
    const datasets = { calibration: calibration.id, evaluation: evaluation.id };
    const body = JSON.stringify({
      modelId: model.id,
      recipe,
      datasets,
      metric: 'top1',
      labels: { demo: label.replace(/[^A-Za-z0-9]/g, '-') },
    });
    jobs.push({
      label,
      job: await call(`${url}/jobs`, { method: 'POST', body, headers: { 'content-type': 'application/json' } }),
    });
  }
  const results = [];
  for (const { label, job } of jobs) {
    await finished(url, label, job.id);
    const report = await call(`${url}/jobs/${job.id}/report`);
    const { items } = await call(`${url}/jobs/${job.id}/artifacts`);
    results.push({ label, report, file: await download(url, items[0]) });
  }
  if (process.stderr.isTTY) process.stderr.write('\r\u001b[K');
  const { latency, accuracy, artifacts } = results[0].report;
  process.stdout.write(
    `\nTop-1 accuracy on ${accuracy.samples} images; median latency at batch ${latency.batch} on ${latency.threads} thread of ${latency.cpu.trim()}:\n\n`,
  );
  printTable(rowsOf(results));
  process.stdout.write(
    `\nEvery artifact was run by ${artifacts[0].verification.engine} and compared with the engine's own reference.\n`,
  );
  for (const { file } of results) process.stdout.write(`  ${path.relative(process.cwd(), file)}\n`);
}

await main(async () => {
  setUp();
  rmSync(output, { recursive: true, force: true });
  mkdirSync(output);
  const dataDir = mkdtempSync(path.join(os.tmpdir(), 'tritforge-demo-'));
  // PostgreSQL refuses to run as root and then runs as a user that must reach its files.
  chmodSync(dataDir, 0o755);
  const logFile = path.join(output, 'service.log');
  const stack = new Stack({ dataDir, port: await freePort(), output: openSync(logFile, 'w') });
  const cleanUp = async () => {
    await stack.stop();
    await rm(dataDir, { recursive: true, force: true });
  };
  stopOnSignal(cleanUp, 130);
  try {
    await stack.start();
    await demonstrate(stack.url);
  } catch (error) {
    throw new Error(`${error.message}\nThe log of the service is in ${logFile}.`);
  } finally {
    await cleanUp();
  }
  process.exit(0);
});
