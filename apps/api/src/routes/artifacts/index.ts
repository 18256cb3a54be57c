import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Artifact, idSchema } from '@tritforge/contracts';
import type { FastifyRequest, RouteHandler } from 'fastify';
import Type from 'typebox';
import type { RouteDeps } from '../../deps.js';
import { lookUp } from '../../http/lookup.js';
import { emptyResponse, jsonResponse, problems } from '../../http/responses.js';
import { accessOf } from '../../plugins/authentication.js';
import { BYTES, OCTET_STREAM } from '../../uploads/body-schemas.js';
import { chosenFile, sendContent } from './content.js';

const params = Type.Object({ id: idSchema('artifact') });
const tags = ['artifacts'];
const contentHeaders = {
  ETag: Type.String({ description: 'The digest of the file, quoted.' }),
  'Content-Disposition': Type.String(),
};

/** `/artifacts` */
export const artifactRoutes: FastifyPluginAsyncTypebox<RouteDeps> = async (app, { store }) => {
  const find = (request: FastifyRequest, id: string) =>
    lookUp('artifact', id, (known) => accessOf(request).store.artifacts.get(known));

  app.get(
    '/artifacts/:id',
    {
      config: { scope: 'artifacts:read' },
      schema: {
        operationId: 'getArtifact',
        summary: 'Get what is known of an artifact',
        tags,
        params,
        response: { 200: jsonResponse('The artifact.', Artifact), ...problems('ARTIFACT_NOT_FOUND') },
      },
    },
    async (request) => find(request, request.params.id),
  );

  const config = { scope: 'artifacts:read' } as const;
  const schema = {
    operationId: 'downloadArtifact',
    summary: 'Download an artifact',
    description:
      'One file of the artifact: the .onnx file, or the external data file that `file` names. Range (one range), ' +
      'If-Range and If-None-Match are honoured; Content-Digest and Repr-Digest carry the SHA-256.',
    tags,
    params,
    querystring: Type.Object({
      file: Type.Optional(Type.String({ minLength: 1, maxLength: 1024, description: 'Name from `files`.' })),
    }),
    response: {
      200: fileResponse('The file.', { 'Content-Digest': Type.String(), ...contentHeaders }),
      206: fileResponse('The range.', {
        'Content-Range': Type.String(),
        'Repr-Digest': Type.String(),
        ...contentHeaders,
      }),
      304: emptyResponse('The file is the one that If-None-Match names.'),
      ...problems('ARTIFACT_NOT_FOUND', 'QUERY_INVALID', 'RANGE_NOT_SATISFIABLE'),
    },
  };
  const download: RouteHandler = async (request, reply) => {
    const { id } = request.params as { id: string };
    const { file } = request.query as { file?: string };
    const artifact = await find(request, id);
    try {
      return await sendContent(store.blobs, chosenFile(artifact, file), request, reply);
    } catch (error) {
      // Its job may have been deleted meanwhile: then there is no such artifact any more.
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') await find(request, id);
      throw error;
    }
  };
  // HEAD is a route of its own, since the one that Fastify makes would read the file to its end.
  app.head('/artifacts/:id/content', { config, schema: { ...schema, hide: true } }, download);
  app.get('/artifacts/:id/content', { config, schema, exposeHeadRoute: false }, download);
};

function fileResponse(description: string, headers: Record<string, Type.TSchema>): object {
  return {
    description,
    headers,
    content: { [OCTET_STREAM]: { schema: BYTES } },
  };
}
