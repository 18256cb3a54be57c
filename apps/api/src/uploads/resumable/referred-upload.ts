import { Readable } from 'node:stream';
import { TritforgeError } from '@tritforge/contracts';
import type { Upload, UploadRepository } from '@tritforge/store';
import { lookUp } from '../../http/lookup.js';
import type { Part } from '../multipart.js';

/** A field whose text names an upload, with the line break that `curl -F name='<FILE'` may add. */
const REFERENCE = /^upload:(\S{1,64})\s{0,2}$/;
const MAX_REFERENCE_BYTES = 80;

/**
 * Takes a part of a form. A field without a file name whose text is `upload:` and the id of a finished upload stands for that upload, whose
 * metadata `filename` is the name of the file.
 * @throws TritforgeError UPLOAD_NOT_FOUND, UPLOAD_UNFINISHED, and what `take` throws
 */
export async function takeReferred(
  part: Part,
  uploads: UploadRepository,
  take: (part: Part) => Promise<void>,
): Promise<void> {
  // Nothing that is sent as a file is taken for anything else.
  if (part.fileName !== undefined) return take(part);
  const { start, content } = await startOf(part.content);
  const id = REFERENCE.exec(start.toString('latin1'))?.[1];
  if (id === undefined) return take({ ...part, content });
  const upload = await lookUp('upload', id, (known) => uploads.get(known));
  if (upload.offsetBytes < upload.sizeBytes) throw unfinished(upload, part.name);
  const file = uploads.open(id);
  // Whoever reads it gets its errors; where nobody does they must not end the process.
  file.on('error', () => {});
  try {
    await take({ name: part.name, fileName: upload.metadata.filename ?? undefined, content: file });
  } finally {
    file.destroy();
  }
}

/** All of a short content, or at least so much of a longer one that it cannot be a reference; and the content from its start. */
async function startOf(source: Readable): Promise<{ start: Buffer; content: Readable }> {
  const chunks: AsyncIterator<Buffer> = source[Symbol.asyncIterator]();
  let start = Buffer.alloc(0);
  while (start.length <= MAX_REFERENCE_BYTES) {
    const { value, done } = await chunks.next();
    if (done) break;
    start = Buffer.concat([start, value]);
  }
  const rest = { [Symbol.asyncIterator]: () => chunks };
  return { start, content: Readable.from(joined(start, rest), { objectMode: false }) };
}

async function* joined(start: Buffer, rest: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  if (start.length > 0) yield start;
  yield* rest;
}

function unfinished({ id, offsetBytes, sizeBytes }: Upload, field: string): TritforgeError {
  return new TritforgeError(
    'UPLOAD_UNFINISHED',
    `Of the upload ${id}, ${offsetBytes} of ${sizeBytes} bytes have arrived`,
    {
      field,
      remediation: `Send the rest by PATCH /uploads/${id} with Upload-Offset: ${offsetBytes}.`,
    },
  );
}
