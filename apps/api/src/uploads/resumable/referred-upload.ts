import { Readable } from 'node:stream';
import { type DirectUpload, TritforgeError } from '@tritforge/contracts';
import type { DirectUploadRepository, ObjectSources, Upload, UploadRepository } from '@tritforge/store';
import { lookUp, requireId } from '../../http/lookup.js';
import type { Part } from '../multipart.js';

/** Fields whose text names an upload or an object, with the line break that `curl -F name='<FILE'` may add. */
const UPLOAD = /^upload:(\S{1,64})\s{0,2}$/;
const OBJECT = /^(s3:\/\/[^\r\n]{1,1300})\s{0,2}$/;
const MAX_REFERENCE_BYTES = 1310;

/** What a field can refer to. */
export interface Referred {
  readonly uploads: UploadRepository;
  readonly directUploads: DirectUploadRepository | null;
  readonly sources: ObjectSources;
  /** Largest object that is read. */
  readonly maxBytes: number;
}

/**
 * Takes a part of a form. A field without a file name stands for a file when its text is `upload:` and the id of a finished upload, whose
 * metadata `filename` is the name of the file, or the address of an object, whose name is the last segment of its key.
 * @throws TritforgeError UPLOAD_NOT_FOUND, UPLOAD_UNFINISHED, SOURCE_NOT_ALLOWED, SOURCE_NOT_FOUND, UPLOAD_TOO_LARGE, SERVICE_UNAVAILABLE, and
 *   what `take` throws
 */
export async function takeReferred(part: Part, referred: Referred, take: (part: Part) => Promise<void>): Promise<void> {
  // Nothing that is sent as a file is taken for anything else.
  if (part.fileName !== undefined) return take(part);
  const { start, content } = await startOf(part.content);
  const file = await fileOf(start.toString('utf8'), part.name, referred);
  if (file === null) return take({ ...part, content });
  // Whoever reads it gets its errors; where nobody does they must not end the process.
  file.content.on('error', () => {});
  try {
    await take({ name: part.name, ...file });
  } finally {
    file.content.destroy();
  }
}

/** The file that a text refers to; null where it refers to none. */
async function fileOf(text: string, field: string, referred: Referred): Promise<Omit<Part, 'name'> | null> {
  const [id, address] = [UPLOAD.exec(text)?.[1], OBJECT.exec(text)?.[1]];
  if (id !== undefined) return uploadedFile(id, field, referred);
  return address === undefined ? null : sourceFile(address, field, referred);
}

async function uploadedFile(
  id: string,
  field: string,
  { uploads, directUploads }: Referred,
): Promise<Omit<Part, 'name'>> {
  requireId('upload', id);
  const direct = (await directUploads?.get(id)) ?? null;
  if (directUploads !== null && direct !== null) {
    if (direct.finishedAt === null) throw notFinished(direct, field);
    return { fileName: direct.fileName ?? undefined, content: directUploads.open(id) };
  }
  const upload = await lookUp('upload', id, (known) => uploads.get(known));
  if (upload.offsetBytes < upload.sizeBytes) throw notArrived(upload, field);
  return { fileName: upload.metadata.filename ?? undefined, content: uploads.open(id) };
}

async function sourceFile(source: string, field: string, { sources, maxBytes }: Referred): Promise<Omit<Part, 'name'>> {
  const { fileName, sizeBytes, content } = await sources.open(source, field);
  if (sizeBytes <= maxBytes) return { fileName, content, source };
  content.destroy();
  throw new TritforgeError('UPLOAD_TOO_LARGE', `${source} has ${sizeBytes} bytes, and this service takes ${maxBytes}`, {
    field,
    remediation: 'Name a smaller file, or ask the operator to raise TRITFORGE_MAX_UPLOAD_BYTES.',
  });
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

function notFinished({ id }: DirectUpload, field: string): TritforgeError {
  return new TritforgeError('UPLOAD_UNFINISHED', `The upload ${id} is not finished`, {
    field,
    remediation: `Send its parts to the bucket, then finish it by POST /uploads/direct/${id}/finish.`,
  });
}

function notArrived({ id, offsetBytes, sizeBytes }: Upload, field: string): TritforgeError {
  return new TritforgeError(
    'UPLOAD_UNFINISHED',
    `Of the upload ${id}, ${offsetBytes} of ${sizeBytes} bytes have arrived`,
    {
      field,
      remediation: `Send the rest by PATCH /uploads/${id} with Upload-Offset: ${offsetBytes}.`,
    },
  );
}
