import type { Readable } from 'node:stream';
import { Busboy, type BusboyInstance } from '@fastify/busboy';
import { TritforgeError } from '@tritforge/contracts';

/** One part of a multipart body. */
export interface Part {
  readonly name: string;
  /** As it was sent, folders included; undefined when the part has none. */
  readonly fileName: string | undefined;
  readonly content: Readable;
  /** Address of the object that the content is read from; none for what was sent. */
  readonly source?: string;
}

/** Headers of one part. */
const MAX_PART_HEADER_BYTES = 8192;

/**
 * Reads a multipart body part by part. `take` gets each part as its first byte arrives and must read it to its end;
 * memory stays bounded, since what `take` does not read is not received.
 *
 * @throws TritforgeError MULTIPART_INVALID, UPLOAD_INCOMPLETE, what `body` fails with, and what `take` throws; by then
 *   every call of `take` has ended
 */
export async function readParts(
  body: Readable,
  contentType: string,
  maxParts: number,
  take: (part: Part) => Promise<void>,
): Promise<void> {
  const taken: Promise<void>[] = [];
  try {
    await new Promise<void>((resolve, reject) => {
      const open = new Set<Readable>();
      const fail = (error: Error) => {
        body.unpipe(parser);
        for (const content of open) content.destroy(error);
        reject(error);
      };
      const parser = createParser(contentType, maxParts, fail);
      parser.on('file', (name: string | undefined, content, fileName: string | undefined) => {
        open.add(content);
        content.once('close', () => open.delete(content));
        content.on('error', fail);
        const done = take({ name: name ?? '', fileName, content });
        taken.push(done);
        done.catch(fail);
      });
      parser.on('finish', resolve);
      body.on('error', fail);
      body.pipe(parser);
    });
    await Promise.all(taken);
  } finally {
    body.destroy();
    await Promise.allSettled(taken);
  }
}

/** The parser takes an empty boundary, and finds none of its lines. */
const EMPTY_BOUNDARY = /;\s*boundary=(?:\s*|"")(?:;|$)/i;

function createParser(contentType: string, maxParts: number, fail: (error: Error) => void): BusboyInstance {
  try {
    if (EMPTY_BOUNDARY.test(contentType)) throw new Error('the boundary is empty');
    const parser = new Busboy({
      headers: { 'content-type': contentType },
      preservePath: true,
      // Every part is a stream, JSON ones too: one way to read them, one limit each.
      isPartAFile: () => true,
      limits: { parts: maxParts, headerSize: MAX_PART_HEADER_BYTES, headerPairs: 32 },
    });
    parser.on('partsLimit', () => fail(invalid(`It has more than ${maxParts} parts`)));
    parser.on('error', (error) => fail(parserError(error as Error)));
    return parser;
  } catch (error) {
    throw invalid(`Content-Type "${contentType.slice(0, 100)}" names no boundary`, error);
  }
}

function parserError(error: Error): TritforgeError {
  if (!/unexpected end/i.test(error.message)) return invalid(error.message, error);
  return new TritforgeError('UPLOAD_INCOMPLETE', 'The multipart body ends before its closing boundary', {
    remediation: 'Send the upload again; the last line of the body must be the boundary followed by two hyphens.',
    cause: error,
  });
}

function invalid(reason: string, cause?: unknown): TritforgeError {
  return new TritforgeError('MULTIPART_INVALID', `The multipart body cannot be read: ${reason}`, {
    remediation: 'Let the HTTP client build the form (curl -F, fetch with FormData) and set Content-Type itself.',
    cause,
  });
}
