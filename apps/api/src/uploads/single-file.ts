import type { NewFile } from '@tritforge/store';
import { safeFileName } from './file-names.js';
import type { Part } from './multipart.js';
import { duplicatePart, missingPart } from './part-errors.js';
import type { UploadSession } from './upload-session.js';

/** A part that holds one file and comes at most once. */
export class SingleFile {
  readonly #part: string;
  readonly #fallbackName: string;
  #hasArrived = false;
  #file: NewFile | null = null;

  /** @param fallbackName name of the file when the part has none */
  constructor(part: string, fallbackName: string) {
    this.#part = part;
    this.#fallbackName = fallbackName;
  }

  /** @throws TritforgeError MULTIPART_PART_DUPLICATE and those of staging */
  async take(
    { content, fileName, source }: Pick<Part, 'content' | 'fileName' | 'source'>,
    session: UploadSession,
  ): Promise<void> {
    if (this.#hasArrived) throw duplicatePart(this.#part);
    this.#hasArrived = true;
    this.#file = { name: safeFileName(fileName, this.#fallbackName), blob: await session.stage(content), source };
  }

  /** Whether the part has come. */
  get has(): boolean {
    return this.#hasArrived;
  }

  /** @throws TritforgeError MULTIPART_PART_MISSING */
  file(): NewFile {
    if (this.#file === null) throw missingPart(this.#part);
    return this.#file;
  }
}
