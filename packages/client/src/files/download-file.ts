import { createHash, type Hash } from 'node:crypto';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { TritforgeError } from '@tritforge/contracts';
import { Backoff } from '../http/backoff.js';
import { notTheService, Passing } from '../http/passing.js';
import type { ServiceRequest, Transport } from '../http/transport.js';
import type { CallOptions } from '../options.js';

const READ_BYTES = 2 ** 20;

/** A file of the service, and where it is to lie. */
export interface Download {
  /** Of the request. */
  readonly path: string;
  /** Of the file; replaced when it is there. */
  readonly target: string;
  readonly sizeBytes: number;
  /** `sha256:…` */
  readonly digest: string;
}

/** What a download takes besides. */
export interface DownloadOptions extends CallOptions {
  /** Hears how many bytes of the file have arrived. */
  readonly onProgress?: ((arrivedBytes: number, sizeBytes: number) => void) | undefined;
}

/**
 * Downloads a file. It arrives under another name beside the target, `….part`, and gets its own when all of it is there and has the
 * digest. After an interruption, also of an earlier call, it goes on behind the bytes that are there.
 *
 * @throws TritforgeError DIGEST_MISMATCH, after which nothing is left; the error of the file system; and as {@link Transport.send}, after
 *   which the next call goes on where this one was
 */
export async function downloadFile(transport: Transport, file: Download, options: DownloadOptions): Promise<void> {
  const partPath = `${file.target}.${file.digest.slice(-12)}.part`;
  const part = await Part.open(partPath);
  const isNew = part.sizeBytes === 0;
  try {
    await fill(part, transport, file, options);
    if (part.digest() !== file.digest && !isNew) {
      // What an earlier call left may be what is wrong.
      await part.clear();
      await fill(part, transport, file, options);
    }
    if (part.digest() !== file.digest) {
      await rm(partPath, { force: true });
      throw otherDigest(file, part.digest());
    }
    await part.sync();
  } catch (error) {
    // Nothing to go on with.
    if (part.sizeBytes === 0) await rm(partPath, { force: true });
    throw error;
  } finally {
    await part.close();
  }
  await rename(partPath, file.target);
}

/** Fetches what of a file is not there yet. */
async function fill(
  part: Part,
  transport: Transport,
  { path, sizeBytes }: Download,
  { signal, onProgress }: DownloadOptions,
): Promise<void> {
  if (part.sizeBytes > sizeBytes) await part.clear();
  const backoff = new Backoff(transport.retryMs, signal);
  const receive = async (response: Response) => {
    // Who answers with the whole file does not know ranges.
    if (response.status !== 206) await part.clear();
    const before = part.sizeBytes;
    for await (const chunk of response.body ?? []) {
      await part.append(chunk);
      backoff.reset();
      onProgress?.(part.sizeBytes, sizeBytes);
    }
    if (part.sizeBytes === before) throw new Passing(notTheService(transport.url, 'sent nothing of a file'));
  };
  while (part.sizeBytes < sizeBytes) {
    const headers = { range: `bytes=${part.sizeBytes}-` };
    const request: ServiceRequest = { method: 'GET', path, headers, signal };
    try {
      await transport.attempt(request, receive);
    } catch (error) {
      await backoff.pause(error);
    }
  }
}

/** The beginning of a file, and the digest of it. */
class Part {
  sizeBytes = 0;
  readonly #handle: FileHandle;
  #hash: Hash = createHash('sha256');

  private constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  /** Opens a file, with what is in it already. */
  static async open(path: string): Promise<Part> {
    const part = new Part(await open(path, 'a+'));
    const buffer = Buffer.alloc(READ_BYTES);
    for (;;) {
      const { bytesRead } = await part.#handle.read(buffer, 0, READ_BYTES, part.sizeBytes);
      if (bytesRead === 0) return part;
      part.#count(buffer.subarray(0, bytesRead));
    }
  }

  async append(chunk: Uint8Array): Promise<void> {
    await this.#handle.writeFile(chunk);
    this.#count(chunk);
  }

  async clear(): Promise<void> {
    await this.#handle.truncate(0);
    this.sizeBytes = 0;
    this.#hash = createHash('sha256');
  }

  digest(): string {
    return `sha256:${this.#hash.copy().digest('hex')}`;
  }

  sync(): Promise<void> {
    return this.#handle.sync();
  }

  close(): Promise<void> {
    return this.#handle.close();
  }

  #count(chunk: Uint8Array): void {
    this.#hash.update(chunk);
    this.sizeBytes += chunk.byteLength;
  }
}

function otherDigest({ target, digest }: Download, received: string): TritforgeError {
  return new TritforgeError(
    'DIGEST_MISMATCH',
    `What arrived for ${target} has the digest ${received} in place of ${digest}`,
    {
      remediation: 'Download it again; if it happens again, something between here and the service changes files.',
    },
  );
}
