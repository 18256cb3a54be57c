import { open } from 'node:fs/promises';
import { crc32, deflateRawSync } from 'node:zlib';
import type { DataType } from '../ir/index.js';
import type { HostTensor } from '../runtime/runtime.js';

const DESCRIPTIONS: Partial<Record<DataType, string>> = {
  bool: '|b1',
  uint8: '|u1',
  int8: '|i1',
  uint16: '<u2',
  int16: '<i2',
  uint32: '<u4',
  int32: '<i4',
  int64: '<i8',
  float16: '<f2',
  float32: '<f4',
  float64: '<f8',
};

/** 1980-01-01, the first day that zip knows: files must not depend on when they were written. */
const DATE = 0x21;
const DEFLATED = 8;
const ZIP_LIMIT = 0xffffffff;

/**
 * The bytes of a .npy file, version 1.0, C order.
 * @throws RangeError for a dtype that .npy datasets cannot have
 */
export function npyBytes({ dtype, shape, data }: HostTensor): Buffer {
  const description = DESCRIPTIONS[dtype];
  if (description === undefined || !ArrayBuffer.isView(data))
    throw new RangeError(`${dtype} cannot be written as .npy`);
  const sizes = shape.length === 1 ? `${shape[0]},` : shape.join(', ');
  const dictionary = `{'descr': '${description}', 'fortran_order': False, 'shape': (${sizes}), }`;
  const headerBytes = Math.ceil((10 + dictionary.length + 1) / 64) * 64 - 10;
  const header = Buffer.alloc(10 + headerBytes, ' ');
  header.write('\x93NUMPY\x01\x00', 'latin1');
  header.writeUInt16LE(headerBytes, 8);
  header.write(dictionary, 10, 'latin1');
  header.write('\n', header.length - 1, 'latin1');
  return Buffer.concat([header, Buffer.from(data.buffer, data.byteOffset, data.byteLength)]);
}

/**
 * Writes arrays as an .npz, in the order of the map. The same arrays give the same bytes.
 * @param options.compress deflates the arrays; they are stored by default and can then be read where they lie
 * @throws RangeError for a dtype that .npy cannot hold and for more than 4 GB
 */
export async function writeNpz(
  path: string,
  arrays: ReadonlyMap<string, HostTensor>,
  options: { compress?: boolean } = {},
): Promise<void> {
  const handle = await open(path, 'w');
  try {
    const directory: Buffer[] = [];
    let offset = 0;
    for (const [name, tensor] of arrays) {
      const bytes = npyBytes(tensor);
      const stored = options.compress === true ? deflateRawSync(bytes, { level: 9 }) : bytes;
      const fileName = Buffer.from(`${name}.npy`);
      const common = entryFields(bytes, stored.length, options.compress === true ? DEFLATED : 0, fileName.length);
      directory.push(centralHeader(common, offset), fileName);
      const local = Buffer.concat([Buffer.from('PK\x03\x04', 'latin1'), common, fileName]);
      await handle.writeFile(local);
      await handle.writeFile(stored);
      offset += local.length + stored.length;
      if (offset > ZIP_LIMIT) throw new RangeError('the arrays take more than 4 GB');
    }
    const entries = Buffer.concat(directory);
    await handle.writeFile(Buffer.concat([entries, endRecord(arrays.size, entries.length, offset)]));
  } finally {
    await handle.close();
  }
}

/** The 26 bytes that the local and the central header share (APPNOTE 4.3.7, from "version needed"). */
function entryFields(bytes: Buffer, storedBytes: number, method: number, nameLength: number): Buffer {
  const fields = Buffer.alloc(26);
  fields.writeUInt16LE(20, 0);
  fields.writeUInt16LE(method, 4);
  fields.writeUInt16LE(DATE, 8);
  fields.writeUInt32LE(crc32(bytes), 10);
  fields.writeUInt32LE(storedBytes, 14);
  fields.writeUInt32LE(bytes.length, 18);
  fields.writeUInt16LE(nameLength, 22);
  return fields;
}

function centralHeader(common: Buffer, offset: number): Buffer {
  const head = Buffer.from('PK\x01\x02\x14\x00', 'latin1');
  const tail = Buffer.alloc(14);
  tail.writeUInt32LE(offset, 10);
  return Buffer.concat([head, common, tail]);
}

function endRecord(entries: number, directoryBytes: number, directoryOffset: number): Buffer {
  const record = Buffer.alloc(22);
  record.write('PK\x05\x06', 'latin1');
  record.writeUInt16LE(entries, 8);
  record.writeUInt16LE(entries, 10);
  record.writeUInt32LE(directoryBytes, 12);
  record.writeUInt32LE(directoryOffset, 16);
  return record;
}
