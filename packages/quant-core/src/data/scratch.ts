import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** A folder for expanded data. It is made when the first file is asked for. */
export interface Scratch {
  /** A path for a new file. */
  newFile(): Promise<string>;
  /** Removes the folder and everything in it. */
  remove(): Promise<void>;
}

/**
 * Makes a scratch folder under `parent`, the system's folder for temporary files by default.
 */
export function createScratch(parent: string = tmpdir()): Scratch {
  let folder: Promise<string> | undefined;
  let files = 0;
  return {
    async newFile() {
      folder ??= mkdtemp(path.join(parent, 'tritforge-dataset-'));
      return path.join(await folder, String(files++));
    },
    async remove() {
      if (folder !== undefined) await rm(await folder, { recursive: true, force: true });
    },
  };
}
