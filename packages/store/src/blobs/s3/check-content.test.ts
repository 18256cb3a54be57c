import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { describe, it } from 'node:test';
import { checkContent } from './check-content.js';

const PART_BYTES = 10;
const digestOf = (bytes: Buffer) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

/** What a client says of content. */
function announce(content: Buffer, digest: string | null = null) {
  const count = Math.ceil(content.length / PART_BYTES);
  const parts = Array.from({ length: count }, (_, i) => ({
    number: i + 1,
    digest: digestOf(content.subarray(i * PART_BYTES, (i + 1) * PART_BYTES)),
  }));
  return { partBytes: PART_BYTES, parts, digest };
}

/** The content in chunks of a size. */
function chunked(content: Buffer, chunkBytes: number): Readable {
  const count = Math.ceil(content.length / chunkBytes);
  return Readable.from(Array.from({ length: count }, (_, i) => content.subarray(i * chunkBytes, (i + 1) * chunkBytes)));
}

describe('the check of what arrived in parts', () => {
  it('takes what was announced, however chunks and parts lie', async () => {
    for (const sizeBytes of [1, 9, 10, 11, 20, 35]) {
      const content = randomBytes(sizeBytes);
      for (const chunkBytes of [1, 3, 10, 16, 64]) {
        for (const digest of [null, digestOf(content)])
          assert.equal(await checkContent(chunked(content, chunkBytes), announce(content, digest)), digestOf(content));
      }
    }
  });

  it('names the part that is another, is too short or too long, and the whole where all parts are right', async () => {
    const content = randomBytes(35);
    const refused = (arrived: Buffer, announced: ReturnType<typeof announce>, message: RegExp) =>
      assert.rejects(checkContent(chunked(arrived, 7), announced), { code: 'DIGEST_MISMATCH', message });
    const damaged = Buffer.from(content);
    damaged[12]! ^= 1;
    await refused(damaged, announce(content), /^Part 2 of the upload arrived/);
    await refused(content.subarray(0, 34), announce(content), /^Part 4 of the upload arrived/);
    await refused(Buffer.concat([content, randomBytes(9)]), announce(content), /^Part 4 of the upload arrived/);
    await refused(
      content,
      { ...announce(content), parts: announce(content).parts.slice(0, 3) },
      /^Part 4 .* announced was none/,
    );
    await refused(content, announce(content, digestOf(damaged)), /^The file arrived/);
  });
});
