import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { type Artifact, TritforgeError } from '@tritforge/contracts';
import type { BlobStorage } from '@tritforge/store';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { contentDigest } from '../../http/content-digest.js';
import { attachment } from '../../http/content-disposition.js';
import { matchesEtag, rangeApplies, strongEtag } from '../../http/etag.js';
import { parseRange } from '../../http/range.js';

/** One file of an artifact. */
type ArtifactFile = Artifact['files'][number];

/** The file with the name, or the .onnx file. @throws TritforgeError ARTIFACT_NOT_FOUND */
export function chosenFile({ id, files }: Artifact, name: string | undefined): ArtifactFile {
  const file = name === undefined ? files[0] : files.find((candidate) => candidate.name === name);
  if (file) return file;
  throw new TritforgeError('ARTIFACT_NOT_FOUND', `The artifact ${id} has no file "${name}"`, {
    field: 'file',
    remediation: `Ask for one of ${files.map((known) => known.name).join(', ')}.`,
  });
}

/**
 * Answers with a file, or the range of it that the request asks for; its content never changes.
 * @throws TritforgeError RANGE_NOT_SATISFIABLE, SERVICE_UNAVAILABLE; an Error with the code ENOENT when the file is not there
 */
export async function sendContent(
  blobs: BlobStorage,
  { name, digest, sizeBytes }: ArtifactFile,
  { headers, method }: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const etag = strongEtag(digest);
  const known = { etag, 'accept-ranges': 'bytes' };
  const unchanging = { ...known, 'cache-control': 'private, max-age=31536000, immutable' };
  if (matchesEtag(headers['if-none-match'], etag)) return reply.status(304).headers(unchanging).send();
  const range =
    method === 'GET' && rangeApplies(headers['if-range'], etag) ? parseRange(headers.range, sizeBytes) : null;
  if (range === 'unsatisfiable') {
    reply.headers({ ...known, 'content-range': `bytes */${sizeBytes}` });
    throw new TritforgeError(
      'RANGE_NOT_SATISFIABLE',
      `"${headers.range}" lies outside the ${sizeBytes} bytes of ${name}`,
      {
        field: 'range',
        remediation: `Ask for bytes between 0 and ${sizeBytes - 1}.`,
      },
    );
  }
  const { start, end } = range ?? { start: 0, end: sizeBytes - 1 };
  // What cannot be read says so before there are headers of a file.
  const content = method === 'HEAD' ? undefined : await begun(blobs.open(digest, { start, end }));
  reply.type('application/octet-stream').headers({
    ...unchanging,
    'content-length': String(end - start + 1),
    'content-disposition': attachment(name),
    'repr-digest': contentDigest(digest),
    ...(range
      ? { 'content-range': `bytes ${start}-${end}/${sizeBytes}` }
      : { 'content-digest': contentDigest(digest) }),
  });
  reply.status(range ? 206 : 200);
  return reply.send(content);
}

/** A stream of which the first bytes are there. @throws what it fails with before */
async function begun(content: Readable): Promise<Readable> {
  await once(content, 'readable');
  return content;
}
