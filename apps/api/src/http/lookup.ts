import { type ErrorCode, isId, type ResourceKind, TritforgeError } from '@tritforge/contracts';

const NOT_FOUND = {
  model: 'MODEL_NOT_FOUND',
  dataset: 'DATASET_NOT_FOUND',
  job: 'JOB_NOT_FOUND',
  artifact: 'ARTIFACT_NOT_FOUND',
  webhook: 'WEBHOOK_NOT_FOUND',
  upload: 'UPLOAD_NOT_FOUND',
  delivery: 'DELIVERY_NOT_FOUND',
} as const satisfies Partial<Record<ResourceKind, ErrorCode>>;

/** Resources that routes find by their id. */
type Found = keyof typeof NOT_FOUND;

/**
 * The resource with this id. A text that cannot be an id is answered like one that is not there.
 * @throws TritforgeError MODEL_NOT_FOUND, or the same of the other kinds
 */
export async function lookUp<T>(kind: Found, id: string, get: (id: string) => Promise<T | null>): Promise<T> {
  requireId(kind, id);
  const resource = await get(id);
  if (resource === null) throw notFound(kind, id);
  return resource;
}

/** @throws TritforgeError as `lookUp`, when the text cannot be an id of the kind */
export function requireId(kind: Found, id: string): void {
  if (!isId(kind, id)) throw notFound(kind, id);
}

function notFound(kind: Found, id: string): TritforgeError {
  return new TritforgeError(NOT_FOUND[kind], `There is no ${kind} with the id ${id.slice(0, 64)}`, {
    field: 'id',
    remediation: remediationOf(kind),
  });
}

function remediationOf(kind: Found): string {
  if (kind === 'artifact') return 'GET /jobs/{id} lists the ids of its artifacts.';
  if (kind === 'upload') return 'It may have expired or been deleted: make a new one by POST /uploads.';
  if (kind === 'delivery') return 'GET /webhooks/{id}/deliveries lists what there is.';
  return `GET /${kind}s lists what there is; it may have been deleted.`;
}
