import type { Readable } from 'node:stream';
import { TritforgeError } from '@tritforge/contracts';

/**
 * Parses JSON.
 * @param where names the text in messages, such as `job`; empty for a whole body
 * @throws TritforgeError BODY_NOT_JSON with the parser's position
 */
export function parseJson(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const subject = where === '' ? 'The body' : `The part "${where}"`;
    const reason = text.trim() === '' ? 'it is empty' : (error as Error).message;
    throw new TritforgeError('BODY_NOT_JSON', `${subject} is not JSON: ${reason}`, {
      ...(where !== '' && { field: where }),
      remediation: 'Send one JSON value in UTF-8, with double quotes and without trailing commas.',
      cause: error,
    });
  }
}

/**
 * Reads a part that holds JSON.
 * @throws TritforgeError BODY_TOO_LARGE, BODY_NOT_JSON
 */
export async function readJsonPart(content: Readable, name: string, maxBytes: number): Promise<unknown> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of content as AsyncIterable<Buffer>) {
    sizeBytes += chunk.length;
    if (sizeBytes > maxBytes) {
      throw new TritforgeError('BODY_TOO_LARGE', `The part "${name}" is larger than ${maxBytes} bytes`, {
        field: name,
        remediation: 'Send files in parts of their own; this one holds JSON only.',
      });
    }
    chunks.push(chunk);
  }
  return parseJson(Buffer.concat(chunks).toString('utf8'), name);
}
