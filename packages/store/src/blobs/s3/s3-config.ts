/** How buckets are reached. Credentials are those that the AWS SDK finds by itself. */
export interface S3Connection {
  /** URL of a service other than AWS; null for AWS. */
  readonly endpoint: string | null;
  /** Null for what the SDK finds, or `us-east-1` with an endpoint. */
  readonly region: string | null;
  /** Whether the bucket is part of the path or of the host name; `auto` is `path` with an endpoint, else `virtual`. */
  readonly addressing: 'auto' | 'path' | 'virtual';
  /** Differs in tests. */
  readonly timing?: Partial<S3Timing> | undefined;
}

/** A bucket, or a part of it, in which a service stores its content. */
export interface S3Config extends S3Connection {
  readonly bucket: string;
  /** What all keys begin with: empty, or with a slash at its end. */
  readonly prefix: string;
  /** URL by which clients reach the bucket; null for that of the service, `none` where they do not. */
  readonly publicEndpoint: string | null;
}

/** How long what may take, in milliseconds. */
export interface S3Timing {
  readonly connectMs: number;
  /** Without a byte in either direction; also of a client that reads a download. */
  readonly idleMs: number;
  /** All of a readiness check. */
  readonly pingMs: number;
  /** Content and unfinished uploads younger than this are not listed: their rows may be on their way. */
  readonly settleMs: number;
}

export const S3_TIMING: S3Timing = { connectMs: 5_000, idleMs: 60_000, pingMs: 5_000, settleMs: 3_600_000 };
