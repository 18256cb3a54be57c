/**
 * Outputs of a layer at the places of which moments were taken. With other inputs, of the same shapes, and the same choice of
 * places moments can be taken again without the network that computed the outputs.
 */
export interface RecordedOutputs {
  /** Shape of the whole output in each run. */
  readonly shapes: readonly (readonly number[])[];
  /** [rows, OC], in the order in which places were visited; OC over all convolution groups. */
  readonly rows: Float32Array;
}

/** Rows of outputs while they come in. */
export class OutputRecorder {
  readonly #shapes: RecordedOutputs['shapes'];
  readonly #rows: Float32Array;
  #end = 0;

  constructor(shapes: RecordedOutputs['shapes'], rows: number, channels: number) {
    this.#shapes = shapes;
    this.#rows = new Float32Array(rows * channels);
  }

  /** Adds a row from where each convolution group has its part. */
  add(parts: readonly Float32Array[], at: number, channels: number): void {
    for (const part of parts) {
      this.#rows.set(part.subarray(at, at + channels), this.#end);
      this.#end += channels;
    }
  }

  finish(): RecordedOutputs {
    return { shapes: this.#shapes, rows: this.#rows };
  }
}

/** Gives recorded rows out again, one after the other. */
export class OutputPlayer {
  readonly #rows: Float32Array;
  #next = 0;

  constructor({ rows }: RecordedOutputs) {
    this.#rows = rows;
  }

  /** Writes the next row to where each convolution group has its part. */
  copy(parts: readonly Float32Array[], at: number, channels: number): void {
    for (const part of parts) {
      part.set(this.#rows.subarray(this.#next, this.#next + channels), at);
      this.#next += channels;
    }
  }
}
