import { madeInput, makeInput } from '../data/decoder-inputs.js';
import { type DataType, elementCount, numberToFloat16 } from '../ir/index.js';
import type { Feeds, HostTensor, Session } from '../runtime/runtime.js';
import { mulberry32 } from '../seeded-random.js';

/** Sizes for dimensions that the model leaves open. */
const OPEN = { batch: 1, channels: 3, imageSide: 224 } as const;
const OPEN_LENGTH = 32;
/** Integers are below this: small enough for any vocabulary, position table or class count. */
const INTEGER_LIMIT = 16;

/**
 * Inputs for a model without data: the same for the same inputs and seed on every machine. Floats are uniform in [-1,
 * 1), integers in [0, 16) so that they are token ids of any vocabulary (single numbers are 1), bools true. Open
 * dimensions: the first is 1; of four-dimensional inputs the sides are 224 and the channels 3; all others `openLength`.
 * Dimensions of one name agree. What follows from the tokens, such as an empty cache, is made from them (data/decoder-inputs.ts).
 * @throws TypeError for an input that is no tensor of numbers
 */
export function syntheticFeeds(inputs: Session['inputs'], seed: number, openLength = OPEN_LENGTH): Feeds {
  const sizeByName = new Map<string, number>();
  const random = mulberry32(seed);
  const feeds = new Map<string, HostTensor>();
  const made = inputs.map(madeInput);
  for (const { name, dtype, shape } of inputs.filter((_, i) => made[i] === null)) {
    const closed = shape.map((size, axis) => closeDimension(size, axis, shape, { sizeByName, openLength }));
    feeds.set(name, { dtype, shape: closed, data: fill(name, dtype, elementCount(closed), random) });
  }
  const following = made.flatMap((input) => (input === null ? [] : [[input.input, makeInput(input, feeds)] as const]));
  return new Map([...feeds, ...following]);
}

type Shape = Session['inputs'][number]['shape'];

interface Sizes {
  readonly sizeByName: Map<string, number>;
  readonly openLength: number;
}

function closeDimension(size: Shape[number], axis: number, shape: Shape, { sizeByName, openLength }: Sizes): number {
  if (typeof size === 'number') return size;
  if (size === null) return openSize(axis, shape, openLength);
  const known = sizeByName.get(size) ?? openSize(axis, shape, openLength);
  sizeByName.set(size, known);
  return known;
}

function openSize(axis: number, shape: Shape, openLength: number): number {
  if (axis === 0) return OPEN.batch;
  if (shape.length !== 4) return openLength;
  const last = shape[3];
  const channelAxis = typeof last === 'number' && last <= 4 ? 3 : 1;
  return axis === channelAxis ? OPEN.channels : OPEN.imageSide;
}

function fill(name: string, dtype: DataType, count: number, random: () => number): HostTensor['data'] {
  const float = () => Math.fround(2 * random() - 1);
  const integer = () => (count === 1 ? 1 : Math.floor(random() * INTEGER_LIMIT));
  const from = { length: count };
  switch (dtype) {
    case 'float32':
      return Float32Array.from(from, float);
    case 'float64':
      return Float64Array.from(from, float);
    case 'float16':
      return Uint16Array.from(from, () => numberToFloat16(float()));
    case 'bool':
      return new Uint8Array(count).fill(1);
    case 'int8':
      return Int8Array.from(from, integer);
    case 'uint8':
      return Uint8Array.from(from, integer);
    case 'int16':
      return Int16Array.from(from, integer);
    case 'uint16':
      return Uint16Array.from(from, integer);
    case 'int32':
      return Int32Array.from(from, integer);
    case 'uint32':
      return Uint32Array.from(from, integer);
    case 'int64':
      return BigInt64Array.from(from, () => BigInt(integer()));
    case 'uint64':
      return BigUint64Array.from(from, () => BigInt(integer()));
    case 'string':
      return new Array<string>(count).fill('');
    default:
      throw new TypeError(`no data can be made for input "${name}" of type ${dtype}`);
  }
}
