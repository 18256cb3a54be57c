import { createHash } from 'node:crypto';
import { TritforgeError } from '@tritforge/contracts';

/** A part of content that arrives in parts. */
export interface UploadPart {
  /** From 1. */
  readonly number: number;
  /** `sha256:<hex>`. */
  readonly digest: string;
}

/** What a client says of such content. */
export interface Announced {
  /** Of every part but the last one. */
  readonly partBytes: number;
  /** In the order of their numbers. */
  readonly parts: readonly UploadPart[];
  /** Of the whole, `sha256:<hex>`; null where it was not said. */
  readonly digest: string | null;
}

/**
 * Reads content once, and compares each part and the whole with what was announced of them.
 * @returns the digest of the whole
 * @throws TritforgeError DIGEST_MISMATCH; what the content fails with
 */
export async function checkContent(content: AsyncIterable<Uint8Array>, announced: Announced): Promise<string> {
  const whole = createHash('sha256');
  const parts = new PartDigests(announced);
  for await (const chunk of content) {
    whole.update(chunk);
    parts.update(chunk);
  }
  parts.end();
  const digest = `sha256:${whole.digest('hex')}`;
  if (announced.digest === null || announced.digest === digest) return digest;
  throw mismatch('The file', digest, announced.digest);
}

/** The digests of parts, each compared when it ends. */
class PartDigests {
  readonly #announced: Announced;
  #hash = createHash('sha256');
  #ended = 0;
  #partBytes = 0;

  constructor(announced: Announced) {
    this.#announced = announced;
  }

  update(chunk: Uint8Array): void {
    for (let start = 0; start < chunk.byteLength; ) {
      if (this.#partBytes === this.#announced.partBytes) this.end();
      const rest = chunk.subarray(start, start + this.#announced.partBytes - this.#partBytes);
      this.#hash.update(rest);
      this.#partBytes += rest.byteLength;
      start += rest.byteLength;
    }
  }

  /** @throws TritforgeError DIGEST_MISMATCH */
  end(): void {
    const digest = `sha256:${this.#hash.digest('hex')}`;
    const part = this.#announced.parts[this.#ended++];
    if (part?.digest !== digest) throw mismatch(`Part ${this.#ended} of the upload`, digest, part?.digest ?? 'none');
    this.#hash = createHash('sha256');
    this.#partBytes = 0;
  }
}

function mismatch(what: string, digest: string, announced: string): TritforgeError {
  return new TritforgeError('DIGEST_MISMATCH', `${what} arrived with digest ${digest}, announced was ${announced}`, {
    field: 'digest',
    remediation: 'Check that the file has not changed meanwhile, and upload it anew.',
  });
}
