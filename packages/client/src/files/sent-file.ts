/** A file that is sent ahead of the form that names it. */
export interface SentFile {
  readonly path: string;
  readonly sizeBytes: number;
}

/** How it is sent. */
export interface SendOptions {
  readonly signal: AbortSignal | undefined;
  /** Hears how many bytes of the file have been sent; fewer than before when some have to be sent again. */
  readonly onProgress: (sentBytes: number) => void;
}
