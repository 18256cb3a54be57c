/** A body that is made while it is sent, so that none of it waits in memory. */
export interface StreamedBody {
  readonly contentType: string;
  readonly sizeBytes: number;
  /** Its bytes, for each attempt anew. */
  open(): AsyncGenerator<Uint8Array, void>;
}

/** A file could not be read while it was sent; the cause says why. */
export class UnreadableFile extends Error {
  override readonly name = 'UnreadableFile';
}
