import { TritforgeError } from '@tritforge/contracts';
import type { FileWindow } from './file-window.js';
import type { DatasetLimits } from './limits.js';

/** A file in an archive. */
export interface ArchiveMember {
  /** Path inside the archive, `/` between its parts. */
  readonly name: string;
  /** Bytes once expanded. */
  readonly sizeBytes: number;
  /** The whole content, in memory. @throws TritforgeError DATASET_CORRUPT */
  read(): Promise<Uint8Array>;
  /** The content as a range of a file; a compressed member is expanded to scratch space once. @throws TritforgeError DATASET_CORRUPT */
  open(): Promise<FileWindow>;
  /** Reads all of the content against its checksum, if it has one. @throws TritforgeError DATASET_CORRUPT */
  verify(): Promise<void>;
}

/** An indexed archive; no content has been read. */
export interface Archive {
  readonly format: 'zip' | 'tar';
  readonly members: readonly ArchiveMember[];
  close(): Promise<void>;
}

/** Whether a member is none of the user's: folders' metadata that operating systems add. */
export function isHousekeeping(name: string): boolean {
  const base = name.slice(name.lastIndexOf('/') + 1);
  return name.startsWith('__MACOSX/') || base.startsWith('._') || base === '.DS_Store' || base === 'Thumbs.db';
}

/**
 * A member's path without a leading `./`.
 * @throws TritforgeError DATASET_PATH_INVALID when it is absolute, climbs out of the archive or hides characters
 */
export function safeMemberName(name: string): string {
  const plain = name.replace(/^(\.\/)+/, '');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  const hidden = /[\u0000-\u001f\u007f\\]/.test(plain);
  if (plain === '' || hidden || /^(\/|[A-Za-z]:)/.test(plain) || plain.split('/').includes('..')) {
    throw unsafeMember(name, 'its path is absolute, climbs out of the archive or has control characters');
  }
  return plain;
}

export function unsafeMember(name: string, why: string): TritforgeError {
  return new TritforgeError('DATASET_PATH_INVALID', `archive member ${JSON.stringify(name)} is refused: ${why}`, {
    field: name,
    remediation: 'Pack plain files with relative paths.',
  });
}

export function corruptMember(name: string, why: string, cause?: unknown): TritforgeError {
  return new TritforgeError('DATASET_CORRUPT', `archive member ${JSON.stringify(name)} ${why}`, {
    field: name,
    remediation: 'Write the archive again, or upload it again.',
    cause,
  });
}

export function tooLarge(what: string): TritforgeError {
  return new TritforgeError('DATASET_TOO_LARGE', what, { remediation: 'Send fewer samples or smaller ones.' });
}

/**
 * Adds up what an archive expands to.
 * @returns a function to call with the name and the expanded size of each member; it throws DATASET_TOO_LARGE and, for
 *   a name that comes twice, DATASET_CORRUPT
 */
export function memberGuard(fileBytes: number, limits: DatasetLimits): (name: string, sizeBytes: number) => void {
  const names = new Set<string>();
  let expandedBytes = 0;
  return (name, sizeBytes) => {
    if (names.has(name)) throw corruptMember(name, 'comes twice');
    names.add(name);
    expandedBytes += sizeBytes;
    if (names.size > limits.maxMembers) throw tooLarge(`the archive has more than ${limits.maxMembers} members`);
    checkExpansion(expandedBytes, fileBytes, limits);
  };
}

/** @throws TritforgeError DATASET_TOO_LARGE */
export function checkExpansion(expandedBytes: number, fileBytes: number, limits: DatasetLimits): void {
  if (expandedBytes > limits.maxExpandedBytes) {
    throw tooLarge(`the archive expands to more than ${limits.maxExpandedBytes} bytes`);
  }
  if (expandedBytes > limits.ratioFreeBytes && expandedBytes > fileBytes * limits.maxExpansionRatio) {
    throw tooLarge(`the archive of ${fileBytes} bytes expands by more than a factor of ${limits.maxExpansionRatio}`);
  }
}
