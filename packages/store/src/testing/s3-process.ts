/**
 * An S3 server for tests, in a process of its own: `s3-process.js <folder> <bucket>`. It keeps objects in the folder, tells its port by a
 * message, and ends with whoever started it.
 */
import { rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import path from 'node:path';
import S3rver from 's3rver';

const [directory = '', bucket = ''] = process.argv.slice(2);
const s3rver = new S3rver({ directory, silent: true, configureBuckets: [{ name: bucket, configs: [] }] });
await s3rver.configureBuckets();
const answer = s3rver.callback();

/** s3rver does not know how to abort a multipart upload. */
async function abortUpload(uploadId: string, response: ServerResponse): Promise<void> {
  await rm(path.join(directory, bucket, '._S3rver_uploads', path.basename(uploadId)), { recursive: true, force: true });
  response.writeHead(204).end();
}

function serve(request: IncomingMessage, response: ServerResponse): void {
  const uploadId = new URL(request.url ?? '/', 'http://localhost').searchParams.get('uploadId');
  if (request.method === 'DELETE' && uploadId !== null) void abortUpload(uploadId, response);
  else answer(request, response);
}

process.on('disconnect', () => process.exit());
const server = createServer(serve).listen(0, '127.0.0.1', () => {
  const address = server.address();
  process.send?.(typeof address === 'object' && address ? address.port : 0);
});
