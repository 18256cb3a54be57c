import { createReadStream } from 'node:fs';
import { UnreadableFile } from '../http/streamed-body.js';

const CHUNK_BYTES = 2 ** 18;

/** The bytes of a file from `start` up to `sizeBytes`. @throws UnreadableFile, also when the file is shorter by now */
export async function* fileBytes(path: string, start: number, sizeBytes: number): AsyncGenerator<Uint8Array, void> {
  if (start === sizeBytes) return;
  let at = start;
  try {
    const content = createReadStream(path, { start, end: sizeBytes - 1, highWaterMark: CHUNK_BYTES });
    for await (const chunk of content) {
      at += (chunk as Buffer).byteLength;
      yield chunk as Buffer;
    }
    if (at < sizeBytes) throw new Error(`${path} became shorter while it was sent`);
  } catch (cause) {
    throw new UnreadableFile(`${path} cannot be read`, { cause });
  }
}
