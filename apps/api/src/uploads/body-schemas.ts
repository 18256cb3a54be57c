import Type from 'typebox';

export const MULTIPART = 'multipart/form-data';
export const OCTET_STREAM = 'application/octet-stream';

type FormPart = 'file' | 'files' | Type.TSchema;

/** Bytes. The format is how OpenAPI 3.0 said it, and what generators of clients still know files by. */
export const BYTES = { type: 'string', format: 'binary', contentMediaType: OCTET_STREAM };

const file = Type.Unsafe<string>({
  ...BYTES,
  description:
    'A file; or, without a file name, `upload:` and the id of a finished upload (`POST /uploads`, `POST /uploads/direct`), or ' +
    'the address `s3://bucket/key` of an object that the service may read.',
  examples: ['upload:upl_01k9zq3v5w8e6r2t4y7u9i1o3p', 's3://models/resnet50.onnx'],
});

/** How OpenAPI shows a form: a part is one file, any number of files, or JSON of a schema. */
export function formBody(parts: Readonly<Record<string, FormPart>>, required: readonly string[]) {
  const properties = Object.entries(parts).map(([name, part]) => [name, partSchema(part)]);
  return {
    schema: {
      type: 'object',
      properties: Object.fromEntries(properties) as object,
      required: [...required],
      additionalProperties: false,
    },
  };
}

function partSchema(part: FormPart): object {
  if (part === 'file') return file;
  return part === 'files' ? { type: 'array', items: file } : part;
}

/** A file that is the whole body. */
export const binaryBody = { schema: BYTES };

/** Header that names the resource that a request made. */
export const locationHeader = { Location: Type.String({ description: 'Path of the resource.' }) };
