/** Uploads straight to the bucket of a service, in parts that are sent again one by one. */
import { createHash } from 'node:crypto';
import { type DirectUpload, type SentParts, type SignedPart, TritforgeError } from '@tritforge/contracts';
import { Backoff } from '../http/backoff.js';
import { exchange } from '../http/exchange.js';
import { Passing } from '../http/passing.js';
import { UnreadableFile } from '../http/streamed-body.js';
import type { Transport } from '../http/transport.js';
import { ProblemError } from '../problem-error.js';
import { countedBody } from './counted-body.js';
import { fileBytes } from './file-bytes.js';
import type { SendOptions, SentFile } from './sent-file.js';

const PATH = '/uploads/direct';
const OCTET_STREAM = 'application/octet-stream';
const PARTS_AT_ONCE = 4;
/** How long the first parts are tried: whoever cannot reach the bucket sends the file to the service. */
const FIRST_PATIENCE_MS = 10_000;
/** A service reads the file when it is finished, and is not thought to be slower than this. */
const SLOWEST_BYTES_PER_MS = 20_000;
const ANSWER_MS = 120_000;
const DISCARD_MS = 10_000;
/** What services answer that have no bucket for clients, or are older than that. */
const NOT_OFFERED: ReadonlySet<string> = new Set(['UPLOAD_DIRECT_UNAVAILABLE', 'NOT_FOUND', 'METHOD_NOT_ALLOWED']);

/** The bucket could not be reached before it had anything: another way may be open. */
export class BucketAway extends Error {
  override readonly name = 'BucketAway';
}

/** Starts an upload; null where the service offers none. @throws as {@link Transport.send} */
export async function createDirectUpload(
  transport: Transport,
  sizeBytes: number,
  fileName: string,
  signal: AbortSignal | undefined,
): Promise<DirectUpload | null> {
  try {
    return await transport.json<DirectUpload>({ ...jsonPost(PATH, { sizeBytes, fileName }), signal });
  } catch (error) {
    if (error instanceof ProblemError && NOT_OFFERED.has(error.code)) return null;
    throw error;
  }
}

/**
 * Sends a file to the bucket, each part with its SHA-256, and has the service finish the upload.
 * @throws BucketAway; ProblemError DIGEST_MISMATCH where the file changed meanwhile; TritforgeError ANSWER_INVALID where the bucket refuses;
 *   and as {@link Transport.send}
 */
export async function sendToBucket(
  transport: Transport,
  upload: DirectUpload,
  file: SentFile,
  options: SendOptions,
): Promise<void> {
  const sender = new PartSender(transport, upload, file, options);
  const parts: SentParts['parts'] = [];
  while (parts.length < upload.parts) parts.push(...(await sender.sendNext()));
  const timeoutMs = ANSWER_MS + Math.ceil(file.sizeBytes / SLOWEST_BYTES_PER_MS);
  // When the answer is lost the service may still be at it.
  const patience = { timeoutMs, retryMs: transport.retryMs + timeoutMs, signal: options.signal };
  await transport.done({ ...jsonPost(`${PATH}/${upload.id}/finish`, { parts }), ...patience });
}

/** Deletes an upload. */
export async function discardDirectUpload(transport: Transport, id: string): Promise<void> {
  await transport.done({ method: 'DELETE', path: `${PATH}/${id}`, retryMs: 0, timeoutMs: DISCARD_MS });
}

/** A part of the file. */
interface FilePart {
  readonly number: number;
  readonly startBytes: number;
  readonly endBytes: number;
  readonly digest: string;
}

/** Sends the parts of a file, some at a time. */
class PartSender {
  readonly #transport: Transport;
  readonly #upload: DirectUpload;
  readonly #file: SentFile;
  readonly #options: SendOptions;
  #next = 1;
  #hasArrived = false;
  #sentBytes = 0;

  constructor(transport: Transport, upload: DirectUpload, file: SentFile, options: SendOptions) {
    this.#transport = transport;
    this.#upload = upload;
    this.#file = file;
    this.#options = options;
  }

  /** The next parts, when all of them have arrived. @throws as {@link sendToBucket} */
  async sendNext(): Promise<SentParts['parts']> {
    const last = Math.min(this.#next + PARTS_AT_ONCE - 1, this.#upload.parts);
    const numbers = Array.from({ length: last - this.#next + 1 }, (_, i) => this.#next + i);
    this.#next = last + 1;
    const parts = await Promise.all(numbers.map((number) => this.#read(number)));
    const addresses = await this.#sign(parts);
    // When one is given up the others end.
    const abort = new AbortController();
    const { signal } = this.#options;
    const both = AbortSignal.any([abort.signal, ...(signal ? [signal] : [])]);
    const sending = parts.map((part, i) => this.#send(part, addresses[i]!, both));
    try {
      return await Promise.all(sending);
    } catch (error) {
      abort.abort(error);
      await Promise.allSettled(sending);
      throw error;
    }
  }

  async #read(number: number): Promise<FilePart> {
    const { partBytes, sizeBytes } = this.#upload;
    const [startBytes, endBytes] = [(number - 1) * partBytes, Math.min(number * partBytes, sizeBytes)];
    return { number, startBytes, endBytes, digest: await digestOf(this.#file.path, startBytes, endBytes) };
  }

  async #sign(parts: readonly FilePart[]): Promise<SignedPart[]> {
    const wanted = { parts: parts.map(({ number, digest }) => ({ number, digest })) };
    const request = jsonPost(`${PATH}/${this.#upload.id}/parts`, wanted);
    return (await this.#transport.json<{ items: SignedPart[] }>({ ...request, signal: this.#options.signal })).items;
  }

  async #send(part: FilePart, first: SignedPart, signal: AbortSignal): Promise<SentParts['parts'][number]> {
    const { number, digest } = part;
    const { retryMs } = this.#transport;
    const backoff = new Backoff(this.#hasArrived ? retryMs : Math.min(retryMs, FIRST_PATIENCE_MS), signal);
    for (let address = first; ; ) {
      try {
        const etag = await this.#put(part, address, signal);
        this.#hasArrived = true;
        return { number, digest, etag };
      } catch (error) {
        await backoff.pause(error).catch((last) => {
          if (this.#hasArrived || !(last instanceof TritforgeError)) throw last;
          throw new BucketAway(last.message, { cause: last });
        });
        // The address may have been what was wrong: its time may be over.
        [address = first] = await this.#sign([part]);
      }
    }
  }

  /** @returns the tag that the bucket gives the part */
  async #put({ startBytes, endBytes }: FilePart, { url, headers }: SignedPart, signal: AbortSignal): Promise<string> {
    let sentBytes = 0;
    let isOver = false;
    const count = (bytes: number) => {
      if (isOver) return;
      sentBytes += bytes;
      this.#sentBytes += bytes;
      this.#options.onProgress(this.#sentBytes);
    };
    const body = countedBody(OCTET_STREAM, this.#file.path, startBytes, endBytes, count);
    const place = new URL(url).origin;
    try {
      return await exchange({ method: 'PUT', url, place, headers, body, signal }, (response) => tagOf(response, place));
    } catch (error) {
      count(-sentBytes);
      // The file may be read a little further than the connection lasts.
      isOver = true;
      throw error;
    }
  }
}

/** @throws the error of the file system when the file cannot be read */
async function digestOf(path: string, startBytes: number, endBytes: number): Promise<string> {
  const hash = createHash('sha256');
  try {
    for await (const chunk of fileBytes(path, startBytes, endBytes)) hash.update(chunk);
  } catch (error) {
    throw error instanceof UnreadableFile ? error.cause : error;
  }
  return `sha256:${hash.digest('hex')}`;
}

/** @throws Passing where the bucket refuses: with another address, or later, it may take the part */
async function tagOf(response: Response, place: string): Promise<string> {
  const text = await response.text();
  const etag = response.headers.get('etag');
  if (response.ok && etag !== null) return etag;
  const code = /<Code>(\w{1,64})<\/Code>/.exec(text)?.[1] ?? 'without a tag';
  throw new Passing(
    new TritforgeError('ANSWER_INVALID', `The bucket at ${place} answered ${response.status} ${code}`, {
      remediation: 'Try again later; the operator can check the bucket and TRITFORGE_S3_PUBLIC_ENDPOINT.',
    }),
    response.headers,
  );
}

function jsonPost(path: string, body: object) {
  const headers = { 'content-type': 'application/json' };
  return { method: 'POST', path, headers, body: JSON.stringify(body) } as const;
}
