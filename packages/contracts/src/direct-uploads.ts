/** Uploads whose parts a client sends straight to the bucket of the service. */
import Type, { type Static } from 'typebox';
import { Digest, idSchema } from './ids.js';
import { nullable } from './nullable.js';

const Timestamp = Type.String({ format: 'date-time' });

/** Most parts of an upload: fewer than S3 takes, so that a list of all of them is less than a MiB of JSON. */
export const MAX_UPLOAD_PARTS = 5000;
/** Most parts whose addresses one request asks for. */
export const MAX_SIGNED_PARTS = 100;

const number = Type.Integer({ minimum: 1, maximum: MAX_UPLOAD_PARTS, description: 'Of the part, from 1.' });
const digest = Type.String({ ...Digest, description: 'Content digest of the part.' });

/** The body of `POST /uploads/direct`. */
export const DirectUploadRequest = Type.Object(
  {
    sizeBytes: Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER }),
    fileName: Type.Optional(
      Type.String({ minLength: 1, maxLength: 1024, description: 'Of the file; external data may have folders in it.' }),
    ),
    digest: Type.Optional(
      Type.String({ ...Digest, description: 'Content digest of the file. What arrives is refused where it differs.' }),
    ),
  },
  { additionalProperties: false, $id: 'DirectUploadRequest' },
);
export type DirectUploadRequest = Static<typeof DirectUploadRequest>;

export const DirectUpload = Type.Object(
  {
    id: idSchema('upload'),
    fileName: nullable(Type.String()),
    sizeBytes: Type.Integer(),
    digest: nullable(
      Type.String({ ...Digest, description: 'As announced; of a finished upload that of what the service has read.' }),
    ),
    partBytes: Type.Integer({ description: 'Size of every part but the last one, which has what is left.' }),
    parts: Type.Integer({ description: 'How many there are.' }),
    finishedAt: nullable(Timestamp),
    expiresAt: Timestamp,
  },
  { $id: 'DirectUpload' },
);
export type DirectUpload = Static<typeof DirectUpload>;

/** The body of `POST /uploads/direct/{id}/parts`. */
export const PartsToSign = Type.Object(
  {
    parts: Type.Array(Type.Object({ number, digest }, { additionalProperties: false }), {
      minItems: 1,
      maxItems: MAX_SIGNED_PARTS,
    }),
  },
  { additionalProperties: false, $id: 'PartsToSign' },
);
export type PartsToSign = Static<typeof PartsToSign>;

/** Where a part is sent to: by PUT, with the headers, and with neither an API key nor a cookie. */
export const SignedPart = Type.Object(
  {
    number,
    url: Type.String({ description: 'It takes these bytes alone. Whoever has it may send them: keep it out of logs.' }),
    headers: Type.Record(Type.String(), Type.String(), {
      description: 'To be sent with the bytes, which the bucket compares with them.',
    }),
    sizeBytes: Type.Integer(),
    expiresAt: Type.String({ format: 'date-time', description: 'When the address ends; ask for another one then.' }),
  },
  { $id: 'SignedPart' },
);
export type SignedPart = Static<typeof SignedPart>;

/** The body of `POST /uploads/direct/{id}/finish`. */
export const SentParts = Type.Object(
  {
    parts: Type.Array(
      Type.Object(
        {
          number,
          digest,
          etag: Type.String({ minLength: 1, maxLength: 256, description: 'The ETag that the bucket answered with.' }),
        },
        { additionalProperties: false },
      ),
      { minItems: 1, maxItems: MAX_UPLOAD_PARTS, description: 'All parts, in any order.' },
    ),
  },
  { additionalProperties: false, $id: 'SentParts' },
);
export type SentParts = Static<typeof SentParts>;
