import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';

/** Requests of the tus protocol, sent by whoever fetches. */
export type Fetch = (path: string, init?: RequestInit) => Promise<Response>;

const VERSION = { 'tus-resumable': '1.0.0' };
const PIECE = { ...VERSION, 'content-type': 'application/offset+octet-stream' };

/** Upload-Metadata of these values. */
export const metadata = (values: Readonly<Record<string, string>>): string =>
  Object.entries(values)
    .map(([key, value]) => `${key} ${Buffer.from(value).toString('base64')}`)
    .join(',');

export function create(fetch: Fetch, sizeBytes: number, headers: Record<string, string> = {}): Promise<Response> {
  return fetch('/uploads', { method: 'POST', headers: { ...VERSION, 'upload-length': `${sizeBytes}`, ...headers } });
}

export function append(
  fetch: Fetch,
  path: string,
  offset: number,
  content: Buffer,
  headers: Record<string, string> = {},
): Promise<Response> {
  return fetch(path, {
    method: 'PATCH',
    headers: { ...PIECE, 'upload-offset': `${offset}`, ...headers },
    body: content,
  });
}

export const head = (fetch: Fetch, path: string): Promise<Response> =>
  fetch(path, { method: 'HEAD', headers: VERSION });

export const terminate = (fetch: Fetch, path: string): Promise<Response> =>
  fetch(path, { method: 'DELETE', headers: VERSION });

/** How much has arrived. */
export async function offsetOf(fetch: Fetch, path: string): Promise<number> {
  const response = await head(fetch, path);
  assert.equal(response.status, 200);
  return Number(response.headers.get('upload-offset'));
}

/** Starts an upload of a file. Returns its path. */
export async function started(fetch: Fetch, sizeBytes: number, fileName?: string): Promise<string> {
  const named = fileName === undefined ? {} : { 'upload-metadata': metadata({ filename: fileName }) };
  const response = await create(fetch, sizeBytes, named);
  assert.equal(response.status, 201, await response.clone().text());
  return response.headers.get('location')!;
}

/** Uploads a file. Returns what a form has in its place. */
export async function uploaded(fetch: Fetch, content: Buffer, fileName?: string): Promise<string> {
  const path = await started(fetch, content.length, fileName);
  assert.equal((await append(fetch, path, 0, content)).status, 204);
  return `upload:${path.split('/').at(-1)}`;
}

/** Announces all that is left of an upload and sends only the beginning of it; the connection stays open. */
export function appendPart(serviceUrl: string, path: string, offset: number, announced: number, sent: Buffer): Socket {
  const { hostname, port } = new URL(serviceUrl);
  const socket = connect(Number(port), hostname);
  // Whoever kills the service resets it.
  socket.on('error', () => {});
  socket.write(
    `PATCH ${path} HTTP/1.1\r\nHost: localhost\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: ${offset}\r\n` +
      `Content-Type: application/offset+octet-stream\r\nContent-Length: ${announced}\r\n\r\n`,
  );
  socket.write(sent);
  return socket;
}
