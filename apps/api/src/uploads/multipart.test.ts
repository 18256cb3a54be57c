import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { TritforgeError } from '@tritforge/contracts';
import { type Part, readParts } from './multipart.js';

const BOUNDARY = 'x1y2z3';
const TYPE = `multipart/form-data; boundary=${BOUNDARY}`;

function part(name: string, content: string, fileName?: string): string {
  const file = fileName === undefined ? '' : `; filename="${fileName}"`;
  return `--${BOUNDARY}\r\nContent-Disposition: form-data; name="${name}"${file}\r\n\r\n${content}\r\n`;
}

const END = `--${BOUNDARY}--\r\n`;

async function text({ content }: Part): Promise<string> {
  let all = '';
  for await (const chunk of content) all += chunk;
  return all;
}

/** Reads a body that arrives in chunks of a few bytes. */
async function read(body: string, chunkBytes = 7, maxParts = 10): Promise<[string, string | undefined, string][]> {
  const chunks = body.match(new RegExp(`[^]{1,${chunkBytes}}`, 'g')) ?? [];
  const parts: [string, string | undefined, string][] = [];
  await readParts(Readable.from(chunks.map((chunk) => Buffer.from(chunk, 'latin1'))), TYPE, maxParts, async (one) => {
    parts.push([one.name, one.fileName, await text(one)]);
  });
  return parts;
}

const failsWith = (code: string) => (error: unknown) => error instanceof TritforgeError && error.code === code;

test('parts arrive with their names, their file names and their content, however the body is cut', async () => {
  const body = part('job', '{"a":1}') + part('model', 'onnx\r\n--bytes', 'sub/folder/m.onnx') + part('data', '') + END;
  for (const chunkBytes of [1, 7, 64, 100_000]) {
    assert.deepEqual(await read(body, chunkBytes), [
      ['job', undefined, '{"a":1}'],
      ['model', 'sub/folder/m.onnx', 'onnx\r\n--bytes'],
      ['data', undefined, ''],
    ]);
  }
});

test('a body that ends too early is incomplete', async () => {
  const body = part('model', 'x'.repeat(500), 'm.onnx') + END;
  for (const keep of [40, 120, 400, body.length - END.length - 4]) {
    await assert.rejects(read(body.slice(0, keep)), failsWith('UPLOAD_INCOMPLETE'), `${keep} bytes`);
  }
});

test('a content type without a boundary is refused', async () => {
  const reading = readParts(Readable.from([Buffer.from('')]), 'multipart/form-data', 10, async () => {});
  await assert.rejects(reading, failsWith('MULTIPART_INVALID'));
});

test('more parts than allowed are refused', async () => {
  await assert.rejects(read(part('data', 'x').repeat(4) + END, 7, 3), failsWith('MULTIPART_INVALID'));
});

test('what a taker throws ends the reading, after every other taker has ended', async () => {
  let othersEnded = 0;
  const body = part('model', 'x'.repeat(1000)) + part('bad', 'y') + part('late', 'z'.repeat(1000)) + END;
  const reading = readParts(Readable.from([Buffer.from(body)]), TYPE, 10, async (one) => {
    if (one.name === 'bad') throw new TritforgeError('MULTIPART_PART_UNEXPECTED', 'bad');
    try {
      await text(one);
    } finally {
      await sleep(20);
      othersEnded++;
    }
  });
  await assert.rejects(reading, failsWith('MULTIPART_PART_UNEXPECTED'));
  assert.equal(othersEnded, 2);
});

test('a part that is not read holds the body back', async () => {
  let sentBytes = 0;
  const chunk = Buffer.alloc(64 * 1024);
  function* endless() {
    yield Buffer.from(part('model', '').slice(0, -2));
    for (; sentBytes < 64 * 1024 * 1024; sentBytes += chunk.length) yield chunk;
    yield Buffer.from(`\r\n${END}`);
  }
  let sentBeforeReading = 0;
  await readParts(Readable.from(endless()), TYPE, 10, async (one) => {
    await sleep(100);
    sentBeforeReading = sentBytes;
    for await (const _ of one.content);
  });
  assert.ok(sentBeforeReading < 4 * 1024 * 1024, `${sentBeforeReading} bytes were taken in without a reader`);
  assert.equal(sentBytes, 64 * 1024 * 1024);
});
