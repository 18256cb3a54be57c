import { type ErrorCode, isId, type ResourceKind, TritforgeError } from '@tritforge/contracts';

const NOT_FOUND = {
  model: 'MODEL_NOT_FOUND',
  dataset: 'DATASET_NOT_FOUND',
  job: 'JOB_NOT_FOUND',
  artifact: 'ARTIFACT_NOT_FOUND',
} as const satisfies Record<ResourceKind, ErrorCode>;

/**
 * The resource with this id. A text that cannot be an id is answered like one that is not there.
 * @throws TritforgeError MODEL_NOT_FOUND, DATASET_NOT_FOUND, JOB_NOT_FOUND or ARTIFACT_NOT_FOUND
 */
export async function lookUp<T>(kind: ResourceKind, id: string, get: (id: string) => Promise<T | null>): Promise<T> {
  requireId(kind, id);
  const resource = await get(id);
  if (resource === null) throw notFound(kind, id);
  return resource;
}

/** @throws TritforgeError as `lookUp`, when the text cannot be an id of the kind */
export function requireId(kind: ResourceKind, id: string): void {
  if (!isId(kind, id)) throw notFound(kind, id);
}

function notFound(kind: ResourceKind, id: string): TritforgeError {
  return new TritforgeError(NOT_FOUND[kind], `There is no ${kind} with the id ${id.slice(0, 64)}`, {
    field: 'id',
    remediation:
      kind === 'artifact'
        ? 'GET /jobs/{id} lists the ids of its artifacts.'
        : `GET /${kind}s lists what there is; it may have been deleted.`,
  });
}
