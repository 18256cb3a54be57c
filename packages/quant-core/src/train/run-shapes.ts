import { TritforgeError } from '@tritforge/contracts';
import { knownShapes } from '../autodiff/gradients.js';
import { elementCount, type Model } from '../ir/index.js';
import type { StoreSummary } from './sample-store.js';

/** What goes into one run of a training graph. */
export interface RunShapes {
  /** Records of the store; a thread adds the gradients of several runs up where its part of a batch is more. */
  readonly records: number;
  /** Sizes of the symbolic dimensions of the inputs. */
  readonly symbols: ReadonlyMap<string, number>;
}

/** Activations of one run and their gradients, as far as they can be told, are to fit in so much. */
const MOST_BYTES = 2 ** 29;
/** Where runs are normalized each for itself: fewer samples would say too little of the data. */
const MOST_BYTES_NORMALIZED = 2 ** 32;
/** Those that are normalized together whatever they take: by two images a trained MobileNet is at chance. */
const FEWEST_NORMALIZED = 8;
/** A value is there once forward, once as a gradient, and in between. */
const BYTES_PER_ACTIVATION = 12;

/**
 * The most records that one run can take: all of a thread's part, unless the network has a batch size of its own or its
 * activations are large. They divide the part.
 * @param part records of a batch that one thread takes
 * @param normalizes whether the records of a run are normalized together
 * @throws TritforgeError DATASET_SHAPE_MISMATCH when records cannot fill the batch size of the network
 */
export function runShapes(network: Model, store: StoreSummary, part: number, normalizes = false): RunShapes {
  const fixed = fixedRecords(network, store);
  if (fixed !== null && part % fixed !== 0) throw unfit(fixed, part);
  const [bytes, fewest] = normalizes ? [MOST_BYTES_NORMALIZED, FEWEST_NORMALIZED] : [MOST_BYTES, 1];
  const most = fixed ?? Math.max(Math.floor(bytes / bytesOfOne(network, store)), fewest);
  const records = divisors(part).findLast((count) => count <= most)!;
  return { records, symbols: symbolsOf(network, store, records) };
}

/** Records that make up the batch that the network is fixed to; null where it takes any. */
function fixedRecords({ graph }: Model, { inputs }: StoreSummary): number | null {
  for (const { name, shape } of inputs) {
    const rows = graph.inputs.find((input) => input.name === name)?.shape?.[0];
    if (typeof rows === 'number') return Math.max(rows / shape[0]!, 1);
  }
  return null;
}

function symbolsOf({ graph }: Model, { inputs }: StoreSummary, records: number): Map<string, number> {
  const symbols = new Map<string, number>();
  for (const { name, shape } of inputs) {
    const declared = graph.inputs.find((input) => input.name === name)?.shape ?? [];
    declared.forEach((size, axis) => {
      if (typeof size === 'string') symbols.set(size, axis === 0 ? records * shape[0]! : shape[axis]!);
    });
  }
  return symbols;
}

function bytesOfOne(network: Model, store: StoreSummary): number {
  const shapes = knownShapes(network, symbolsOf(network, store, 1));
  const computed = network.graph.nodes.flatMap(({ outputs }) => outputs);
  return computed.reduce((sum, name) => sum + BYTES_PER_ACTIVATION * elementCount(shapes.get(name) ?? [0]), 1);
}

function divisors(of: number): number[] {
  return Array.from({ length: of }, (_, i) => i + 1).filter((count) => of % count === 0);
}

function unfit(fixed: number, part: number): TritforgeError {
  return new TritforgeError(
    'DATASET_SHAPE_MISMATCH',
    `The network takes ${fixed} samples at a time, and each worker has ${part} of a batch`,
    {
      field: 'recipe.fineTune.batch',
      remediation: `Choose a batch of a multiple of ${fixed} samples for each worker.`,
    },
  );
}
