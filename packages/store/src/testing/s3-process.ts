/**
 * An S3 server for tests, in a process of its own: `s3-process.js <folder> <bucket>`. It keeps objects in the folder, tells its port by a
 * message, and ends with whoever started it.
 */
import { existsSync } from 'node:fs';
import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import path from 'node:path';
import S3rver from 's3rver';

const [directory = '', bucket = ''] = process.argv.slice(2);
const s3rver = new S3rver({ directory, silent: true, configureBuckets: [{ name: bucket, configs: [] }] });
await s3rver.configureBuckets();
const answer = s3rver.callback();

/** Where s3rver keeps the parts of uploads: `<id>/<part number>`, `<id>/<part number>.md5` and `<id>/key`. */
const uploadsFolder = path.join(directory, bucket, '._S3rver_uploads');
const folderOf = (uploadId: string) => path.join(uploadsFolder, path.basename(uploadId));

// s3rver does not know how to abort and list multipart uploads, makes uploads that are not there when parts of them come, and takes any
// list of parts.

async function abortUpload(uploadId: string, response: ServerResponse): Promise<void> {
  await rm(folderOf(uploadId), { recursive: true, force: true });
  response.writeHead(204).end();
}

async function listUploads(prefix: string, response: ServerResponse): Promise<void> {
  const uploads: string[] = [];
  for (const id of await readdir(uploadsFolder).catch(() => [])) {
    const [key, { mtime }] = [await readFile(path.join(folderOf(id), 'key'), 'utf8'), await stat(folderOf(id))];
    if (!key.startsWith(prefix)) continue;
    const initiated = `<Initiated>${mtime.toISOString()}</Initiated>`;
    uploads.push(`<Upload><Key>${key}</Key><UploadId>${id}</UploadId>${initiated}</Upload>`);
  }
  response.writeHead(200, { 'content-type': 'application/xml' });
  response.end(`<ListMultipartUploadsResult>${uploads.join('')}</ListMultipartUploadsResult>`);
}

function refuse(request: IncomingMessage, response: ServerResponse, status: number, code: string): void {
  request.resume();
  response.writeHead(status, { 'content-type': 'application/xml' });
  response.end(`<Error><Code>${code}</Code><Message>${code}</Message></Error>`);
}

/** Joins parts that are there, with the tags that they have. */
async function joinParts(uploadId: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const list = (await wholeBody(request)).toString();
  for (const [part] of list.matchAll(/<Part>.*?<\/Part>/gs)) {
    const [number, etag = ''] = [/<PartNumber>(\d+)</.exec(part)?.[1], /<ETag>(.*?)<\/ETag>/.exec(part)?.[1]];
    const known = await readFile(path.join(folderOf(uploadId), `${number}.md5`), 'utf8').catch(() => null);
    if (known === null || !etag.includes(known)) return refuse(request, response, 400, 'InvalidPart');
  }
  answer(request, response);
}

/** Reads a body and puts it back, for whoever reads the request next. */
async function wholeBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  const sizeBytes = Number(request.headers['content-length']);
  return new Promise((resolve) => {
    request.on('readable', function read() {
      for (let chunk = request.read(); chunk !== null; chunk = request.read()) chunks.push(chunk);
      const body = Buffer.concat(chunks);
      if (body.length < sizeBytes) return;
      request.off('readable', read);
      request.unshift(body);
      resolve(body);
    });
  });
}

function serve(request: IncomingMessage, response: ServerResponse): void {
  const { method } = request;
  const { searchParams } = new URL(request.url ?? '/', 'http://localhost');
  const uploadId = searchParams.get('uploadId');
  if (method === 'GET' && searchParams.has('uploads')) void listUploads(searchParams.get('prefix') ?? '', response);
  else if (uploadId === null) answer(request, response);
  else if (method === 'DELETE') void abortUpload(uploadId, response);
  else if (!existsSync(folderOf(uploadId))) refuse(request, response, 404, 'NoSuchUpload');
  else if (method === 'POST') void joinParts(uploadId, request, response);
  else answer(request, response);
}

process.on('disconnect', () => process.exit());
const server = createServer(serve).listen(0, '127.0.0.1', () => {
  const address = server.address();
  process.send?.(typeof address === 'object' && address ? address.port : 0);
});
