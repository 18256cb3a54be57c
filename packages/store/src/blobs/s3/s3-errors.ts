import { TritforgeError } from '@tritforge/contracts';

/** What errors of the SDK have. */
interface SdkError {
  readonly name?: string;
  readonly message?: string;
  readonly code?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
}

const FULL = new Set(['QuotaExceeded', 'XMinioStorageFull', 'XMinioAdminBucketQuotaExceeded']);
const DAMAGED = new Set(['BadDigest', 'XAmzContentSHA256Mismatch', 'XAmzContentChecksumMismatch', 'IncompleteBody']);
const ELSEWHERE = new Set(['PermanentRedirect', 'AuthorizationHeaderMalformed', 'IllegalLocationConstraintException']);

/** Whether an error says that there is no such object. */
export function isMissing(error: unknown): boolean {
  const { name } = error as SdkError;
  return name === 'NoSuchKey' || name === 'NotFound';
}

/** What reading an object gives that is not there: the error that callers know from the file system. */
export function missingObject(key: string): Error {
  return Object.assign(new Error(`ENOENT: the bucket has no object ${key}`), { code: 'ENOENT' });
}

/** What an error of the SDK means for callers. Details that only the operator needs stay in its cause. */
export function s3Error(error: unknown, bucket: string): TritforgeError {
  if (error instanceof TritforgeError) return error;
  const { name = 'Error', $metadata } = error as SdkError;
  const status = $metadata?.httpStatusCode;
  if (FULL.has(name) || status === 507) {
    return new TritforgeError('STORAGE_FULL', `The bucket ${bucket} has no space left to store the file.`, {
      remediation: 'Delete models and datasets that are no longer needed, or ask the operator for more space.',
      cause: error,
    });
  }
  const [what, remediation] = status === undefined ? explainSilence(error as SdkError) : explainAnswer(name, status);
  return new TritforgeError('SERVICE_UNAVAILABLE', `The bucket ${bucket} ${what}.`, { remediation, cause: error });
}

/** What is wrong with the bucket, as the end of a sentence, and what can be done about it. */
type Explanation = readonly [what: string, remediation: string];

const LATER = 'Send the request again later.';

function explainAnswer(name: string, status: number): Explanation {
  if (name === 'NoSuchBucket') {
    return ['does not exist', 'The operator can create it, or correct TRITFORGE_S3_BUCKET and TRITFORGE_S3_ENDPOINT.'];
  }
  if (ELSEWHERE.has(name) || status === 301) {
    return [
      `is in another region (${name})`,
      'The operator can correct TRITFORGE_S3_REGION and TRITFORGE_S3_ENDPOINT.',
    ];
  }
  if (status === 401 || status === 403) {
    return [
      `refuses access (${name})`,
      'The operator can check the credentials, and that they may list, read, write and delete below TRITFORGE_S3_PREFIX.',
    ];
  }
  if (DAMAGED.has(name)) return [`received other bytes than were sent (${name})`, 'Send the request again.'];
  return [`answered ${status} ${name}`, LATER];
}

function explainSilence({ name, message, code }: SdkError): Explanation {
  if (name === 'CredentialsProviderError') {
    return [
      'cannot be used, because no credentials were found',
      'The operator can set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a role.',
    ];
  }
  // The SDK calls connections that broke a timeout too; those have a code.
  if (code === undefined && (name === 'AbortError' || name === 'TimeoutError'))
    return ['does not answer in time', LATER];
  return [`cannot be reached (${code ?? message ?? name})`, LATER];
}
