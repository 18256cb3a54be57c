import type { FileHandle } from 'node:fs/promises';
import type { Entry } from 'yauzl';
import { corruptMember } from './archive.js';
import { readInto } from './file-window.js';

/*
 * Local file header, APPNOTE 4.3.7, little-endian:
 *  0 signature u32 | 4 version u16 | 6 flags u16 | 8 method u16 | 10 time u16 | 12 date u16
 * 14 crc32 u32 | 18 compressed size u32 | 22 size u32 | 26 name length u16 | 28 extra length u16 | 30 name, extra
 */
const HEADER_BYTES = 30;
const SIGNATURE = 0x04034b50;
/** Sizes and checksum follow the data; the header's own fields are zero. */
const HAS_DATA_DESCRIPTOR = 0x8;
const IN_ZIP64_EXTRA = 0xffffffff;

/**
 * Where the data of an entry starts.
 * @throws TritforgeError DATASET_CORRUPT when the local header contradicts the central directory
 */
export async function dataOffset(handle: FileHandle, entry: Entry): Promise<number> {
  const header = Buffer.alloc(HEADER_BYTES);
  const start = entry.relativeOffsetOfLocalHeader;
  await readInto(handle, header, start);
  const lies = (what: string) =>
    corruptMember(entry.fileName, `has a local header that contradicts the directory: ${what}`);
  if (header.readUInt32LE(0) !== SIGNATURE) throw lies('there is none');
  if (header.readUInt16LE(8) !== entry.compressionMethod) throw lies('compression method');
  if ((header.readUInt16LE(6) & 1) !== (entry.generalPurposeBitFlag & 1)) throw lies('encryption');
  if ((header.readUInt16LE(6) & HAS_DATA_DESCRIPTOR) === 0) {
    const pairs = [
      [header.readUInt32LE(18), entry.compressedSize, 'compressed size'],
      [header.readUInt32LE(22), entry.uncompressedSize, 'size'],
    ] as const;
    const wrong = pairs.find(([local, central]) => local !== IN_ZIP64_EXTRA && local !== central);
    if (wrong !== undefined) throw lies(wrong[2]);
    if (header.readUInt32LE(14) !== entry.crc32) throw lies('checksum');
  }
  const nameLength = header.readUInt16LE(26);
  const name = Buffer.alloc(nameLength);
  await readInto(handle, name, start + HEADER_BYTES);
  if (nameLength !== entry.fileNameLength || !sameName(name, entry.fileName)) throw lies('name');
  return start + HEADER_BYTES + nameLength + header.readUInt16LE(28);
}

/** Only printable ASCII reads the same in every encoding of names; of other names the length was compared. */
function sameName(local: Buffer, central: string): boolean {
  const ascii = local.every((byte) => byte >= 0x20 && byte < 0x7f);
  return !ascii || local.toString('latin1').replaceAll('\\', '/') === central;
}

/**
 * Refuses archives whose members share bytes, which is how a small file can expand without end.
 * @throws TritforgeError DATASET_CORRUPT
 */
export function checkNoOverlap(entries: readonly Entry[], offsets: readonly number[], fileBytes: number): void {
  const ranges = entries.map((entry, i) => ({
    entry,
    start: entry.relativeOffsetOfLocalHeader,
    end: offsets[i]! + entry.compressedSize,
  }));
  ranges.sort((a, b) => a.start - b.start);
  let end = 0;
  for (const range of ranges) {
    if (range.start < end) throw corruptMember(range.entry.fileName, 'shares bytes with another member');
    end = range.end;
    if (end > fileBytes) throw corruptMember(range.entry.fileName, 'reaches beyond the end of the file');
  }
}
