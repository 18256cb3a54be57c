/** Where the service is, who asks, and how patient the client is. */
export interface ClientOptions {
  /** Address of the service, such as `https://tritforge.example`; it may have a path, and has no user or password. */
  readonly url: string;
  /** `tf_…`, sent as a bearer token. A service on this machine may ask for none. */
  readonly apiKey?: string | undefined;
  /**
   * How long a request is tried again, in milliseconds, while the service cannot be reached, is busy or asks to come back later;
   * 120,000 when left out.
   */
  readonly retryMs?: number | undefined;
  /**
   * Files of so many bytes and more are sent so that an interrupted upload goes on where it was: straight to the bucket of the service where
   * it offers that, else by tus; 64 MiB when left out.
   */
  readonly resumeFromBytes?: number | undefined;
}

/** What every call takes. */
export interface CallOptions {
  /** Ends the call; it then throws the reason of the signal. */
  readonly signal?: AbortSignal | undefined;
}

/** How far a large file is that goes ahead of the request which names it. */
export interface UploadProgress {
  readonly fileName: string;
  /** Fewer than before when some have to be sent again. */
  readonly sentBytes: number;
  readonly sizeBytes: number;
}

/** What calls take that make something. */
export interface PostOptions extends CallOptions {
  /** Hears how far the upload of a large file is. */
  readonly onUploadProgress?: ((progress: UploadProgress) => void) | undefined;
  /**
   * Makes the call safe to repeat by another process too: within 24 hours the same call with the same key has the same result. One of
   * its own when left out, with which the call is safe against interruptions of its own requests.
   */
  readonly idempotencyKey?: string | undefined;
}
