import { createHash, type Hash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { Transform, type TransformCallback } from 'node:stream';
import { TritforgeError } from '@tritforge/contracts';

/** Limits of a body that streams in. */
export interface BodyLimits {
  readonly maxBytes: number;
  /** How long the client may send nothing. */
  readonly idleMs: number;
  /** SHA-256 of the body as the client announced it, in hexadecimal digits; null when it did not. */
  readonly sha256: string | null;
}

/**
 * The body of a request as a stream that enforces its limits. It fails with UPLOAD_TOO_LARGE, UPLOAD_INCOMPLETE,
 * REQUEST_TIMEOUT or DIGEST_MISMATCH. Destroying it leaves the connection usable, so that an answer can still be sent:
 * the rest of the body is read and dropped.
 */
export class RequestBody extends Transform {
  readonly #source: IncomingMessage;
  readonly #limits: BodyLimits;
  readonly #hash: Hash | null;
  readonly #idleTimer: NodeJS.Timeout;
  #receivedBytes = 0;
  #receivedAtLastTick = -1;

  /** @throws TritforgeError UPLOAD_TOO_LARGE when Content-Length says so already */
  constructor(source: IncomingMessage, limits: BodyLimits) {
    super();
    if (Number(source.headers['content-length'] ?? 0) > limits.maxBytes) throw tooLarge(limits.maxBytes);
    this.#source = source;
    this.#limits = limits;
    this.#hash = limits.sha256 === null ? null : createHash('sha256');
    this.#idleTimer = setInterval(() => this.#checkIdle(), limits.idleMs);
    source.once('close', this.#onSourceClosed);
    source.once('error', this.#onSourceClosed);
    source.pipe(this);
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, callback: TransformCallback): void {
    this.#receivedBytes += chunk.length;
    this.#hash?.update(chunk);
    if (this.#receivedBytes > this.#limits.maxBytes) callback(tooLarge(this.#limits.maxBytes));
    else callback(null, chunk);
  }

  override _flush(callback: TransformCallback): void {
    const isIntact = this.#hash === null || this.#hash.digest('hex') === this.#limits.sha256;
    callback(isIntact ? null : digestMismatch());
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    clearInterval(this.#idleTimer);
    this.#source.off('close', this.#onSourceClosed);
    this.#source.unpipe(this);
    if (!this.#source.readableEnded && !this.#source.destroyed) this.#source.resume();
    callback(error);
  }

  readonly #onSourceClosed = (): void => {
    if (this.#source.complete && this.#source.readableEnded) return;
    this.destroy(
      new TritforgeError('UPLOAD_INCOMPLETE', `The connection ended after ${this.#receivedBytes} bytes of the body`, {
        remediation: 'Send the upload again.',
      }),
    );
  };

  /** Gives up when nothing has come for a whole tick although there was room for it. */
  #checkIdle(): void {
    const isIdle = this.#receivedBytes === this.#receivedAtLastTick && !this.writableNeedDrain;
    this.#receivedAtLastTick = this.#receivedBytes;
    if (!isIdle || this.writableEnded) return;
    this.destroy(
      new TritforgeError('REQUEST_TIMEOUT', `Nothing arrived for ${this.#limits.idleMs / 1000} s`, {
        remediation: 'Send the upload again over a connection that does not stall.',
      }),
    );
  }
}

function tooLarge(maxBytes: number): TritforgeError {
  return new TritforgeError(
    'UPLOAD_TOO_LARGE',
    `The body is larger than the ${maxBytes} bytes that this service takes`,
    {
      remediation: 'Send a smaller file, or ask the operator to raise TRITFORGE_MAX_UPLOAD_BYTES.',
    },
  );
}

function digestMismatch(): TritforgeError {
  return new TritforgeError('DIGEST_MISMATCH', 'The body does not have the SHA-256 that Content-Digest announces', {
    field: 'content-digest',
    remediation: 'Send the upload again; if it fails again, check how the digest of the body was computed.',
  });
}
