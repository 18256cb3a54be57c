import { type DataType, inferShapes, intsInMemory, type Model } from '../ir/index.js';
import type { Shape } from './shaped-builder.js';

/** What is known of the values of the main graph without running it, besides their shapes. */
export class StaticValues {
  readonly #dtypes = new Map<string, DataType>();
  readonly #ints = new Map<string, readonly number[]>();

  /** @param shapes of the graph inputs: they fix the symbolic sizes that shape arithmetic meets */
  constructor({ graph, ...model }: Model, shapes: ReadonlyMap<string, Shape>) {
    for (const { name, dtype } of graph.inputs) this.#dtypes.set(name, dtype);
    for (const [name, tensor] of graph.initializers) {
      this.#dtypes.set(name, tensor.dtype);
      const ints = tensor.shape.length <= 1 ? intsInMemory(tensor) : null;
      if (ints !== null) this.#ints.set(name, ints.map(Number));
    }
    const own = new Set(graph.nodes);
    const symbols = new Map(
      graph.inputs.flatMap(({ name, shape }) =>
        (shape ?? []).flatMap((size, axis): [string, number][] => {
          const known = shapes.get(name)?.[axis];
          return typeof size === 'string' && known !== undefined ? [[size, known]] : [];
        }),
      ),
    );
    inferShapes(
      { ...model, graph },
      {
        symbols,
        onValue: (name, node, { dtype, ints }) => {
          if (!own.has(node)) return;
          this.#dtypes.set(name, dtype);
          if (ints?.every((value) => typeof value === 'number')) this.#ints.set(name, ints as readonly number[]);
        },
      },
    );
  }

  /** Element type of a value; 'undefined' where it cannot be told. */
  dtypeOf(value: string): DataType {
    return this.#dtypes.get(value) ?? 'undefined';
  }

  /** Elements of a small integer tensor of rank 0 or 1 that is constant or follows from shapes; null for others. */
  intsOf(value: string): readonly number[] | null {
    return this.#ints.get(value) ?? null;
  }
}
