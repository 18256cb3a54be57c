import { crc32, deflateRawSync } from 'node:zlib';

/** A file of an archive. */
export interface Member {
  readonly name: string;
  readonly content: Buffer;
  /** Compress with deflate; store otherwise. */
  readonly deflate?: boolean;
  /** Kind of a tar member: 1 hard link, 2 symbolic link, 3 and 4 devices, 5 folder, 6 pipe; a plain file by default. */
  readonly type?: number;
}

/** A zip archive, written byte by byte: member names and contents are whatever the test wants. */
export function zip(members: readonly Member[]): Buffer {
  const locals: Buffer[] = [];
  const centrals: Buffer[] = [];
  let offset = 0;
  for (const { name, content, deflate = false } of members) {
    const data = deflate ? deflateRawSync(content, { level: 9 }) : content;
    const fields = Buffer.alloc(26);
    fields.writeUInt16LE(20, 0); // version needed
    fields.writeUInt16LE(0x0800, 2); // names in UTF-8
    fields.writeUInt16LE(deflate ? 8 : 0, 4);
    fields.writeUInt32LE(0x00210000, 6); // 1980-01-01
    fields.writeUInt32LE(crc32(content), 10);
    fields.writeUInt32LE(data.length, 14);
    fields.writeUInt32LE(content.length, 18);
    fields.writeUInt16LE(Buffer.byteLength(name), 22);
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), fields, Buffer.from(name), data]);
    const tail = Buffer.alloc(14);
    tail.writeUInt32LE(offset, 10);
    centrals.push(Buffer.concat([Buffer.from('PK\x01\x02\x14\x00'), fields, tail, Buffer.from(name)]));
    locals.push(local);
    offset += local.length;
  }
  const directory = Buffer.concat(centrals);
  const end = Buffer.alloc(18);
  end.writeUInt16LE(members.length, 4);
  end.writeUInt16LE(members.length, 6);
  end.writeUInt32LE(directory.length, 8);
  end.writeUInt32LE(offset, 12);
  return Buffer.concat([...locals, directory, Buffer.from('PK\x05\x06'), end]);
}

/** A tar archive (ustar). */
export function tar(members: readonly Member[]): Buffer {
  const blocks = members.flatMap(({ name, content, type = 0 }) => {
    const header = Buffer.alloc(512);
    header.write(name, 0, 100);
    header.write('0000644\x000000\x000000\0', 100);
    header.write(`${content.length.toString(8).padStart(11, '0')}\0`, 124);
    header.write(`00000000000\0        ${type}${type === 0 ? '' : '/etc/passwd'}`, 136);
    header.write('ustar\x0000', 257);
    const sum = header.reduce((total, byte) => total + byte, 0);
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
    return [header, content, Buffer.alloc((512 - (content.length % 512)) % 512)];
  });
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

/** An .npy file. `descr` is NumPy's dtype text, such as `<f4`. */
export function npy(descr: string, shape: readonly number[], content: Buffer): Buffer {
  const shapeText = shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(', ')})`;
  const text = `{'descr': '${descr}', 'fortran_order': False, 'shape': ${shapeText}, }`;
  const padded = `${text.padEnd(Math.ceil((text.length + 11) / 64) * 64 - 11)}\n`;
  const head = Buffer.from('\x93NUMPY\x01\x00\x00\x00', 'latin1');
  head.writeUInt16LE(padded.length, 8);
  return Buffer.concat([head, Buffer.from(padded), content]);
}

/** An .npz file of named .npy files. */
export function npz(arrays: Readonly<Record<string, Buffer>>): Buffer {
  return zip(Object.entries(arrays).map(([name, content]) => ({ name: `${name}.npy`, content })));
}
