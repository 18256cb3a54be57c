import type { DataType } from '../../ir/index.js';

/** How a typed data field of TensorProto holds elements of a type. */
export interface TypedLayout {
  /** Name of the field in the file. */
  readonly field: 'float_data' | 'double_data' | 'int32_data' | 'int64_data' | 'uint64_data';
  /** Bytes of the canonical encoding that one entry of the list becomes. */
  readonly entryBytes: 1 | 2 | 4 | 8;
}

/** The typed field of each element type. Sub-byte types hold one byte of packed elements per entry. */
const LAYOUTS: Partial<Record<DataType, TypedLayout>> = {
  float32: { field: 'float_data', entryBytes: 4 },
  complex64: { field: 'float_data', entryBytes: 4 },
  float64: { field: 'double_data', entryBytes: 8 },
  complex128: { field: 'double_data', entryBytes: 8 },
  int64: { field: 'int64_data', entryBytes: 8 },
  uint64: { field: 'uint64_data', entryBytes: 8 },
  uint32: { field: 'uint64_data', entryBytes: 4 },
  int32: { field: 'int32_data', entryBytes: 4 },
  int16: { field: 'int32_data', entryBytes: 2 },
  uint16: { field: 'int32_data', entryBytes: 2 },
  float16: { field: 'int32_data', entryBytes: 2 },
  bfloat16: { field: 'int32_data', entryBytes: 2 },
};

const ONE_BYTE: TypedLayout = { field: 'int32_data', entryBytes: 1 };

/** Where a file may keep elements of the type other than in raw_data; null for strings and undefined. */
export function typedLayoutOf(dtype: DataType): TypedLayout | null {
  if (dtype === 'string' || dtype === 'undefined') return null;
  return LAYOUTS[dtype] ?? ONE_BYTE;
}

/** Whether the packed list already is what raw_data would hold. */
export function isRawLayout(layout: TypedLayout): boolean {
  return layout.field === 'float_data' || layout.field === 'double_data';
}

/** Collects entries of a typed list into the little-endian encoding of raw_data. Entries beyond the end are counted only. */
export class RawPacker {
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  readonly #layout: TypedLayout;
  /** Entries seen so far. */
  entries = 0;

  constructor(layout: TypedLayout, byteLength: number) {
    this.#layout = layout;
    this.bytes = new Uint8Array(byteLength);
    this.#view = new DataView(this.bytes.buffer);
  }

  /** Adds an integer by its low and high 32 bits. */
  addBits(low: number, high: number): void {
    const at = this.entries++ * this.#layout.entryBytes;
    if (at + this.#layout.entryBytes > this.bytes.byteLength) return;
    if (this.#layout.entryBytes === 1) this.#view.setUint8(at, low);
    else if (this.#layout.entryBytes === 2) this.#view.setUint16(at, low, true);
    else {
      this.#view.setUint32(at, low, true);
      if (this.#layout.entryBytes === 8) this.#view.setUint32(at + 4, high, true);
    }
  }

  addFloat(value: number): void {
    const at = this.entries++ * this.#layout.entryBytes;
    if (at + this.#layout.entryBytes > this.bytes.byteLength) return;
    if (this.#layout.entryBytes === 8) this.#view.setFloat64(at, value, true);
    else this.#view.setFloat32(at, value, true);
  }

  add(value: number | bigint): void {
    if (isRawLayout(this.#layout)) this.addFloat(Number(value));
    else if (typeof value === 'number') this.addBits(value, value < 0 ? -1 : 0);
    else this.addBits(Number(BigInt.asUintN(32, value)), Number(BigInt.asUintN(32, value >> 32n)));
  }
}

/** Decodes packed varints that arrive in pieces into a packer. */
export class VarintDecoder {
  readonly #packer: RawPacker;
  #low = 0;
  #high = 0;
  #shift = 0;

  constructor(packer: RawPacker) {
    this.#packer = packer;
  }

  push(piece: Uint8Array): void {
    for (const byte of piece) {
      const bits = byte & 127;
      if (this.#shift < 28) this.#low |= bits << this.#shift;
      else if (this.#shift === 28) {
        this.#low |= bits << 28;
        this.#high = bits >> 4;
      } else this.#high |= bits << (this.#shift - 32);
      this.#shift += 7;
      if (byte < 128) this.#finish();
      // Longer than any 64-bit number: ends it, so that the count of entries shows the damage.
      else if (this.#shift > 63) this.#finish();
    }
  }

  #finish(): void {
    this.#packer.addBits(this.#low, this.#high);
    this.#low = 0;
    this.#high = 0;
    this.#shift = 0;
  }
}
