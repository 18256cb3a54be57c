import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { DirectUpload, SentParts, SignedPart } from '@tritforge/contracts';
import { expectJson, json } from './http.js';
import { randomBytes } from './random.js';
import type { Fetch } from './tus.js';

/** Uploads straight to the bucket, by whoever fetches. */
export interface DirectFile {
  readonly content: Buffer;
  readonly fileName?: string;
}

/** A part of a file. */
export interface Part {
  readonly number: number;
  readonly digest: string;
  readonly bytes: Buffer;
}

export const digestOf = (content: Buffer) => `sha256:${createHash('sha256').update(content).digest('hex')}`;

/** What a part has at least, but for the last one. */
export const PART_BYTES = 8 * 2 ** 20;

/** Three parts that differ, the last of which is short; with the weights of `matMul` at the start. */
export function threeParts(seed: number): Buffer {
  const content = Buffer.alloc(2 * PART_BYTES + 4096, randomBytes(seed, 4096));
  for (const part of [0, 1, 2]) content.writeUInt32LE(part, part * PART_BYTES + 64);
  return content.fill(0, 0, 64);
}

/** Starts an upload of a file. */
export async function start(fetch: Fetch, { content, fileName }: DirectFile): Promise<DirectUpload> {
  const named = fileName === undefined ? {} : { fileName };
  const body = { sizeBytes: content.length, digest: digestOf(content), ...named };
  return expectJson<DirectUpload>(await fetch('/uploads/direct', json(body)), 201);
}

/** The parts of content; what is left behind the last one belongs to it. */
export function partsOf({ partBytes, parts }: DirectUpload, content: Buffer): Part[] {
  return Array.from({ length: parts }, (_, i) => {
    const bytes = content.subarray(i * partBytes, i + 1 === parts ? undefined : (i + 1) * partBytes);
    return { number: i + 1, digest: digestOf(bytes), bytes };
  });
}

/** Asks for the addresses of parts. */
export async function sign(fetch: Fetch, id: string, parts: readonly Part[]): Promise<SignedPart[]> {
  const body = { parts: parts.map(({ number, digest }) => ({ number, digest })) };
  return (await expectJson<{ items: SignedPart[] }>(await fetch(`/uploads/direct/${id}/parts`, json(body)), 200)).items;
}

/** Sends a part to its address. Returns its tag. */
export async function put([address]: readonly SignedPart[], { bytes }: Part): Promise<string> {
  const response = await fetch(address!.url, { method: 'PUT', headers: address!.headers, body: bytes });
  assert.equal(response.status, 200, await response.text());
  return response.headers.get('etag')!;
}

/** Sends all parts of an upload. @param announced what addresses are asked for and the list says, when it is not what is sent */
export async function send(
  fetch: Fetch,
  upload: DirectUpload,
  content: Buffer,
  announced = content,
): Promise<SentParts['parts']> {
  const [sent, listed] = [partsOf(upload, content), partsOf(upload, announced)];
  const addresses = await sign(fetch, upload.id, listed);
  const tags = await Promise.all(sent.map((part, i) => put([addresses[i]!], part)));
  return listed.map(({ number, digest }, i) => ({ number, digest, etag: tags[i]! }));
}

/** Makes a file of the parts. */
export async function finish(fetch: Fetch, id: string, parts: SentParts['parts']): Promise<DirectUpload> {
  return expectJson<DirectUpload>(await fetch(`/uploads/direct/${id}/finish`, json({ parts })), 200);
}

export const deleteDirect = (fetch: Fetch, id: string): Promise<Response> =>
  fetch(`/uploads/direct/${id}`, { method: 'DELETE' });

/** Uploads a file. Returns the id of the upload. */
export async function uploadedDirect(fetch: Fetch, file: DirectFile): Promise<string> {
  const upload = await start(fetch, file);
  await finish(fetch, upload.id, await send(fetch, upload, file.content));
  return upload.id;
}
