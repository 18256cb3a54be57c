import type { StreamedBody } from '../http/streamed-body.js';
import { fileBytes } from './file-bytes.js';

/** The bytes of a file from `startBytes` up to `endBytes`. @param count hears of each chunk how many bytes it has */
export function countedBody(
  contentType: string,
  path: string,
  startBytes: number,
  endBytes: number,
  count: (bytes: number) => void,
): StreamedBody {
  return {
    contentType,
    sizeBytes: endBytes - startBytes,
    async *open() {
      for await (const chunk of fileBytes(path, startBytes, endBytes)) {
        count(chunk.byteLength);
        yield chunk;
      }
    },
  };
}
