import { type Laboratory, loadScratchModel } from '../calibrate/observed-model.js';
import { intValue, type Model } from '../ir/index.js';
import { makeNode } from '../passes/edit-graph.js';
import type { Session } from '../runtime/runtime.js';

const OPSET = 13;

/** A matrix of rows that is to be multiplied; row-major. */
export interface RowBlock {
  readonly columns: number;
  readonly values: Float32Array;
}

/** Products AᵀB of float32 matrices with many rows, by the engine's Gemm. */
export class TransposedProducts {
  readonly #session: Session;

  private constructor(session: Session) {
    this.#session = session;
  }

  static async open(laboratory: Laboratory): Promise<TransposedProducts> {
    return new TransposedProducts(await loadScratchModel(productModel(), laboratory));
  }

  /** AᵀB, [A's columns, B's columns]. Both have `rows` rows. */
  async multiply(a: RowBlock, b: RowBlock, rows: number): Promise<Float32Array> {
    const feeds = new Map([
      ['a', { dtype: 'float32' as const, shape: [rows, a.columns], data: a.values.subarray(0, rows * a.columns) }],
      ['b', { dtype: 'float32' as const, shape: [rows, b.columns], data: b.values.subarray(0, rows * b.columns) }],
    ]);
    return (await this.#session.run(feeds)).get('product')!.data as Float32Array;
  }

  release(): Promise<void> {
    return this.#session.release();
  }
}

function productModel(): Model {
  const matrix = (name: string) => ({ name, dtype: 'float32' as const, shape: [null, null] });
  return {
    irVersion: 8,
    opsetImports: new Map([['', OPSET]]),
    graph: {
      name: 'product',
      nodes: [makeNode('product', 'Gemm', ['a', 'b'], ['product'], { transA: intValue(1) })],
      inputs: [matrix('a'), matrix('b')],
      outputs: [matrix('product')],
      initializers: new Map(),
      valueInfo: new Map(),
    },
    functions: [],
    producer: null,
  };
}
