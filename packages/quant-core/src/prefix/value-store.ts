import { type FileHandle, mkdtemp, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { DataType } from '../ir/index.js';
import type { HostTensor } from '../runtime/runtime.js';
import { hostBytes, hostTensor } from './host-bytes.js';

/** Node refuses single reads and writes of 2 GiB and more. */
const LARGEST_PIECE_BYTES = 256 * 1024 * 1024;

/** A tensor in memory, or where in the file of its expiry its bytes are. */
interface StoredTensor {
  readonly dtype: DataType;
  readonly shape: readonly number[];
  readonly kept: HostTensor | null;
  readonly offset: number;
  readonly byteLength: number;
}

interface ScratchFile {
  readonly handle: FileHandle;
  readonly path: string;
  endBytes: number;
}

/**
 * Values of all runs until they expire. When a value is stored it is known how long it will be needed, so values that
 * expire together share a file, which only grows and then goes away as a whole. The first values stay in memory, up to
 * a limit, as long as they live.
 */
export class ValueStore {
  readonly #folder: string;
  readonly #memoryBytes: number;
  #keptBytes = 0;
  readonly #values = new Map<string, { readonly expiry: number; readonly tensors: StoredTensor[] }>();
  readonly #files = new Map<number, ScratchFile>();

  private constructor(folder: string, memoryBytes: number) {
    this.#folder = folder;
    this.#memoryBytes = memoryBytes;
  }

  /**
   * @param scratchDir an existing folder; the store makes one of its own in it
   * @param memoryBytes bytes of values that may stay in memory
   */
  static async create(scratchDir: string, memoryBytes: number): Promise<ValueStore> {
    return new ValueStore(await mkdtemp(join(scratchDir, 'prefix-')), memoryBytes);
  }

  /** Adds the value of the next run. @param expiry the argument of {@link release} that frees it */
  async append(name: string, expiry: number, tensor: HostTensor): Promise<void> {
    let value = this.#values.get(name);
    if (value === undefined) {
      value = { expiry, tensors: [] };
      this.#values.set(name, value);
    }
    const bytes = hostBytes(tensor);
    const { dtype, shape } = tensor;
    if (this.#keptBytes + bytes.byteLength <= this.#memoryBytes) {
      this.#keptBytes += bytes.byteLength;
      value.tensors.push({ dtype, shape, kept: tensor, offset: 0, byteLength: bytes.byteLength });
      return;
    }
    const file = await this.#file(expiry);
    const offset = file.endBytes;
    await writeFully(file.handle, bytes, offset);
    file.endBytes += bytes.byteLength;
    value.tensors.push({ dtype, shape, kept: null, offset, byteLength: bytes.byteLength });
  }

  has(name: string): boolean {
    return this.#values.has(name);
  }

  /** @throws RangeError when the value is not stored for the run */
  shape(name: string, run: number): readonly number[] {
    return this.#tensor(name, run).shape;
  }

  dtype(name: string): DataType {
    return this.#tensor(name, 0).dtype;
  }

  /** @throws RangeError when the value is not stored for the run */
  async read(name: string, run: number): Promise<HostTensor> {
    const { dtype, shape, kept, offset, byteLength } = this.#tensor(name, run);
    if (kept !== null) return kept;
    const bytes = new Uint8Array(byteLength);
    await readFully(this.#files.get(this.#values.get(name)!.expiry)!, bytes, offset);
    return hostTensor(dtype, shape, bytes);
  }

  /** Drops the values that were stored with this expiry. */
  async release(expiry: number): Promise<void> {
    for (const [name, value] of this.#values) {
      if (value.expiry !== expiry) continue;
      for (const { kept, byteLength } of value.tensors) if (kept !== null) this.#keptBytes -= byteLength;
      this.#values.delete(name);
    }
    const file = this.#files.get(expiry);
    if (file === undefined) return;
    this.#files.delete(expiry);
    await file.handle.close();
    await rm(file.path);
  }

  /** Drops everything and removes the files. */
  async remove(): Promise<void> {
    this.#values.clear();
    const files = [...this.#files.values()];
    this.#files.clear();
    for (const { handle } of files) await handle.close();
    await rm(this.#folder, { recursive: true, force: true });
  }

  #tensor(name: string, run: number): StoredTensor {
    const tensor = this.#values.get(name)?.tensors[run];
    if (tensor === undefined) throw new RangeError(`value "${name}" is not stored for run ${run}`);
    return tensor;
  }

  async #file(expiry: number): Promise<ScratchFile> {
    const present = this.#files.get(expiry);
    if (present !== undefined) return present;
    const path = join(this.#folder, `${expiry}.bin`);
    const file = { handle: await open(path, 'wx+'), path, endBytes: 0 };
    this.#files.set(expiry, file);
    return file;
  }
}

async function writeFully(handle: FileHandle, bytes: Uint8Array, offset: number): Promise<void> {
  for (let done = 0; done < bytes.byteLength; ) {
    const length = Math.min(LARGEST_PIECE_BYTES, bytes.byteLength - done);
    done += (await handle.write(bytes, done, length, offset + done)).bytesWritten;
  }
}

async function readFully({ handle, path }: ScratchFile, bytes: Uint8Array, offset: number): Promise<void> {
  for (let done = 0; done < bytes.byteLength; ) {
    const length = Math.min(LARGEST_PIECE_BYTES, bytes.byteLength - done);
    const { bytesRead } = await handle.read(bytes, done, length, offset + done);
    if (bytesRead === 0) throw new Error(`${path} ends at byte ${offset + done}, inside a value`);
    done += bytesRead;
  }
}
