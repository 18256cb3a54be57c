import { ERROR_CODES, type ErrorCode } from '@tritforge/contracts';

const ALL = Object.keys(ERROR_CODES) as ErrorCode[];

/** Codes of requests with an Idempotency-Key. */
export const ONCE_ERRORS: readonly ErrorCode[] = ['IDEMPOTENCY_KEY_REUSED', 'IDEMPOTENCY_IN_PROGRESS'];

/** Codes of bodies, also where a route takes none. */
export const BODY_ERRORS: readonly ErrorCode[] = [
  'BODY_NOT_JSON',
  'BODY_TOO_LARGE',
  'CONTENT_TYPE_UNSUPPORTED',
  'HEADER_INVALID',
  'REQUEST_TIMEOUT',
];

/** Codes of JSON bodies. */
export const JSON_ERRORS: readonly ErrorCode[] = ['BODY_INVALID', 'BODY_NOT_JSON'];

/** Codes that any streamed upload can be answered with. */
export const UPLOAD_ERRORS: readonly ErrorCode[] = [
  'CONTENT_TYPE_UNSUPPORTED',
  'HEADER_INVALID',
  'MULTIPART_INVALID',
  'MULTIPART_PART_UNEXPECTED',
  'MULTIPART_PART_DUPLICATE',
  'MULTIPART_PART_MISSING',
  'UPLOAD_EMPTY',
  'UPLOAD_INCOMPLETE',
  'UPLOAD_TOO_LARGE',
  'DIGEST_MISMATCH',
  'INSPECTION_TIMEOUT',
  'INSPECTION_MEMORY_EXCEEDED',
  'INSPECTION_CRASHED',
  'REQUEST_TIMEOUT',
  'STORAGE_FULL',
  'QUOTA_EXCEEDED',
  'UPLOAD_NOT_FOUND',
  'UPLOAD_UNFINISHED',
  'SOURCE_NOT_ALLOWED',
  'SOURCE_NOT_FOUND',
];

/** Codes of model files that fail their inspection. */
export const MODEL_ERRORS = ALL.filter((code) => code.startsWith('MODEL_') && ERROR_CODES[code].status === 422);

/** Codes of datasets that fail their inspection or do not fit the model. */
export const DATASET_ERRORS = ALL.filter(
  (code) => (code.startsWith('DATASET_') || code.startsWith('PREPROCESS_')) && ERROR_CODES[code].status === 422,
);
