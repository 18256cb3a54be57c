/** γ and β of all candidates of all searched layers, as one vector that is trained. */
import type { WidthId } from '../widths/width-table.js';
import type { Affine } from './mixture.js';

/** Whose they are. */
export interface AffineOwner {
  /** Name of the layer's node. */
  readonly layer: string;
  readonly width: WidthId;
  /** Channels of each candidate; of the largest alone where layers do not mix. */
  readonly channels: readonly number[];
}

/** Where they are: γ and β of the first candidate of the first layer, then of its next candidate, … */
export class AffineLayout {
  readonly owners: readonly AffineOwner[];
  readonly length: number;
  readonly #offsets: readonly (readonly number[])[];

  constructor(owners: readonly AffineOwner[]) {
    let next = 0;
    this.owners = owners;
    this.#offsets = owners.map(({ channels }) =>
      channels.map((count) => {
        next += 2 * count;
        return next - 2 * count;
      }),
    );
    this.length = next;
  }

  /** Views of a vector: what a layer has for each of its candidates. */
  of(vector: Float32Array, owner: number): Affine[] {
    const { channels } = this.owners[owner]!;
    return channels.map((count, candidate) => {
      const offset = this.#offsets[owner]![candidate]!;
      return {
        gain: vector.subarray(offset, offset + count),
        shift: vector.subarray(offset + count, offset + 2 * count),
      };
    });
  }
}

/**
 * The vector after candidates have joined, which begin as the largest one before them; channels that it does not have begin at the mean of
 * those that it has.
 * @param isMemory whether the vector is what an optimiser remembers, of which new candidates have nothing
 */
export function grownAffines(
  vector: Float32Array,
  from: AffineLayout,
  to: AffineLayout,
  isMemory = false,
): Float32Array {
  const grown = new Float32Array(to.length);
  to.owners.forEach((_, owner) => {
    const before = from.of(vector, owner);
    to.of(grown, owner).forEach((affine, candidate) => {
      const known = before[candidate]?.gain.length === affine.gain.length ? before[candidate] : undefined;
      if (known === undefined && isMemory) return;
      const source = known ?? before.at(-1)!;
      extend(source.gain, affine.gain);
      extend(source.shift, affine.shift);
    });
  });
  return grown;
}

function extend(from: Float32Array, to: Float32Array): void {
  to.fill(from.reduce((sum, value) => sum + value, 0) / from.length);
  to.set(from);
}
