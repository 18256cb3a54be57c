import { type FileHandle, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** A folder for expanded data. It is made when the first file is asked for. */
export interface Scratch {
  /** A path for a new file. */
  newFile(): Promise<string>;
  /** Opens a file for reading until the folder is removed. */
  open(file: string): Promise<FileHandle>;
  /** Closes what is open and removes the folder and everything in it. */
  remove(): Promise<void>;
}

/**
 * Makes a scratch folder under `parent`, the system's folder for temporary files by default.
 */
export function createScratch(parent: string = tmpdir()): Scratch {
  let folder: Promise<string> | undefined;
  let files = 0;
  const handles: FileHandle[] = [];
  return {
    async newFile() {
      folder ??= mkdtemp(path.join(parent, 'tritforge-dataset-'));
      return path.join(await folder, String(files++));
    },
    async open(file) {
      const handle = await open(file);
      handles.push(handle);
      return handle;
    },
    async remove() {
      for (const handle of handles.splice(0)) await handle.close();
      if (folder !== undefined) await rm(await folder, { recursive: true, force: true });
    },
  };
}
