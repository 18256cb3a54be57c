import { lstatSync, type Stats } from 'node:fs';
import { join } from 'node:path';
import { TritforgeError } from '@tritforge/contracts';
import { SourceFile } from './source-file.js';

/** Files beside a model that hold tensor data. Each is checked and opened once; close them when the model is read. */
export class ExternalFiles {
  readonly #directory: string;
  readonly #files = new Map<string, SourceFile>();

  /** @param directory folder of the model file; nothing outside it is touched */
  constructor(directory: string) {
    this.#directory = directory;
  }

  /**
   * @param location path relative to the model folder, as the tensor states it
   * @throws TritforgeError MODEL_EXTERNAL_DATA_ESCAPES for absolute paths, `..` and symbolic links;
   *   MODEL_EXTERNAL_DATA_MISSING when there is no such file
   */
  open(location: string, tensorName: string): SourceFile {
    const known = this.#files.get(location);
    if (known !== undefined) return known;
    const file = new SourceFile(this.#resolve(location, tensorName));
    this.#files.set(location, file);
    return file;
  }

  close(): void {
    for (const file of this.#files.values()) file.close();
    this.#files.clear();
  }

  #resolve(location: string, tensorName: string): string {
    const parts = location.split('/').filter((part) => part !== '.');
    const unsafe = parts.length === 0 || /[\\\0]/.test(location) || /^[A-Za-z]:/.test(location);
    if (unsafe || parts.includes('..') || parts.includes(''))
      throw escapes(location, tensorName, 'is not a plain relative path');
    let path = this.#directory;
    parts.forEach((part, index) => {
      path = join(path, part);
      const stats = statsOf(path);
      if (stats === null) throw missing(location, tensorName);
      if (stats.isSymbolicLink()) throw escapes(location, tensorName, 'leads through a symbolic link');
      const isLast = index === parts.length - 1;
      if (isLast ? !stats.isFile() : !stats.isDirectory()) throw escapes(location, tensorName, 'is not a regular file');
    });
    return path;
  }
}

function statsOf(path: string): Stats | null {
  try {
    return lstatSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ENAMETOOLONG') return null;
    throw error;
  }
}

function missing(location: string, tensorName: string): TritforgeError {
  const message = `Tensor ${tensorName} has its data in ${JSON.stringify(location)}, which is not beside the model`;
  return new TritforgeError('MODEL_EXTERNAL_DATA_MISSING', message, {
    field: location,
    remediation: `Send the file ${JSON.stringify(location)} together with the model, under that name.`,
  });
}

function escapes(location: string, tensorName: string, why: string): TritforgeError {
  const message = `Tensor ${tensorName} has its data in ${JSON.stringify(location)}, which ${why}`;
  return new TritforgeError('MODEL_EXTERNAL_DATA_ESCAPES', message, {
    field: location,
    remediation: 'External data must be a regular file in the folder of the model or below it.',
  });
}
