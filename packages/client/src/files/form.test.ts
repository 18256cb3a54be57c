/** Files on their way: read while they are sent, in forms that any server reads. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Transport } from '../http/transport.js';
import { TritforgeClient } from '../tritforge-client.js';
import { multipartBody } from './multipart-body.js';

const folder = mkdtempSync(join(tmpdir(), 'tritforge-form-'));
after(() => rmSync(folder, { recursive: true }));

const LARGE_BYTES = 400 * 2 ** 20;
const MOST_GROWTH_BYTES = 200 * 2 ** 20;

function refuse(response: ServerResponse, code: string): void {
  response.writeHead(404, { 'content-type': 'application/problem+json' });
  response.end(JSON.stringify({ code, detail: 'as the test wishes' }));
}

async function listening(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test('a large file is not held in memory, in a form and in pieces', async () => {
  const path = join(folder, 'large.onnx');
  writeFileSync(path, '');
  truncateSync(path, LARGE_BYTES);
  const server = createServer((request, response) => {
    let bytes = 0;
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
    request.on('end', () => {
      assert.equal(bytes, Number(request.headers['content-length'] ?? 0));
      if (request.url === '/uploads/direct') return void refuse(response, 'UPLOAD_DIRECT_UNAVAILABLE');
      if (request.method === 'POST' && request.url === '/uploads') response.writeHead(201, { location: '/uploads/x' });
      else if (request.method === 'PATCH') response.writeHead(204, { 'upload-offset': String(bytes) });
      else response.setHeader('content-type', 'application/json');
      response.end(request.url === '/models' ? '{}' : '');
    });
  });
  const url = await listening(server);
  try {
    const startBytes = process.memoryUsage.rss();
    let peakBytes = startBytes;
    const watch = setInterval(() => {
      peakBytes = Math.max(peakBytes, process.memoryUsage.rss());
    }, 10);
    for (const resumeFromBytes of [2 * LARGE_BYTES, 1])
      await new TritforgeClient({ url, resumeFromBytes }).models.upload({ path });
    clearInterval(watch);
    assert.ok(peakBytes - startBytes < MOST_GROWTH_BYTES, `${peakBytes - startBytes} bytes more`);
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

test('a form is what it says it is, whatever files are called', async () => {
  const path = join(folder, 'small');
  writeFileSync(path, 'bytes');
  const fileName = 'a "b"\r\n/ü.onnx';
  const form = multipartBody([
    { name: 'job', content: '{"é":1}' },
    { name: 'model', content: { path, fileName, sizeBytes: 5 } },
  ]);
  const chunks: Uint8Array[] = [];
  for await (const chunk of form.open()) chunks.push(chunk);
  const bytes = Buffer.concat(chunks);
  assert.equal(bytes.length, form.sizeBytes);
  const read = await new Response(bytes, { headers: { 'content-type': form.contentType } }).formData();
  assert.equal(read.get('job'), '{"é":1}');
  const file = read.get('model') as File;
  assert.deepEqual([file.name, await file.text()], [fileName, 'bytes']);
});

test('a file that became shorter, or is not there, ends the call', async () => {
  const path = join(folder, 'shrunk');
  writeFileSync(path, 'bytes');
  const server = createServer((request, response) => void request.resume().on('end', () => response.end()));
  const url = await listening(server);
  try {
    const body = multipartBody([{ name: 'model', content: { path, fileName: 'm.onnx', sizeBytes: 9 } }]);
    const sent = new Transport({ url }).json({ method: 'POST', path: '/models', body });
    await assert.rejects(sent, /became shorter/);
    await assert.rejects(new TritforgeClient({ url }).models.upload({ path: join(folder, 'none') }), {
      code: 'ENOENT',
    });
  } finally {
    server.closeAllConnections();
    server.close();
  }
});
