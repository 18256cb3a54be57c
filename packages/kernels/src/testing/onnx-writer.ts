/** Writes small ONNX models for tests: protobuf messages by their field numbers, nothing checked. */

type Bytes = readonly number[] | Uint8Array;
type TypedArray = Exclude<NodeJS.TypedArray, Uint8ClampedArray>;

/** Element types by the names that sessions use. */
const ELEMENT_TYPES: Readonly<Record<string, number>> = {
  float32: 1,
  uint8: 2,
  int8: 3,
  uint16: 4,
  int16: 5,
  int32: 6,
  int64: 7,
  string: 8,
  bool: 9,
  float16: 10,
  float64: 11,
  uint32: 12,
  uint64: 13,
};

export type Attribute = number | string | readonly number[] | { float: number } | { graph: Bytes } | { tensor: Bytes };

export interface GraphParts {
  readonly nodes: readonly Bytes[];
  readonly initializers?: readonly Bytes[];
  readonly inputs?: readonly Bytes[];
  readonly outputs: readonly Bytes[];
}

/** A node; attributes are integers, strings, lists of integers, or say what they are. */
export function node(
  opType: string,
  inputs: readonly string[],
  outputs: readonly string[],
  attributes: Readonly<Record<string, Attribute>> = {},
  domain = '',
): Uint8Array {
  return message(
    ...inputs.map((name) => text(1, name)),
    ...outputs.map((name) => text(2, name)),
    text(3, `${opType}_${outputs[0]}`),
    text(4, opType),
    ...Object.entries(attributes).map(([name, value]) => field(5, attribute(name, value))),
    text(7, domain),
  );
}

/** A named constant. */
export function tensor(name: string, type: string, shape: readonly number[], data: TypedArray): Uint8Array {
  const raw = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return message(...shape.map((size) => integer(1, size)), integer(2, elementType(type)), text(8, name), field(9, raw));
}

/** An input or output; a string in the shape is a symbol, null a size that nothing is known of. */
export function value(name: string, type: string, shape: readonly (number | string | null)[]): Uint8Array {
  const dimensions = shape.map((size) =>
    field(1, typeof size === 'string' ? text(2, size) : size === null ? [] : integer(1, size)),
  );
  const tensorType = message(integer(1, elementType(type)), field(2, message(...dimensions)));
  return message(text(1, name), field(2, field(1, tensorType)));
}

export function graph({ nodes, initializers = [], inputs = [], outputs }: GraphParts): Uint8Array {
  return message(
    ...nodes.map((each) => field(1, each)),
    text(2, 'graph'),
    ...initializers.map((each) => field(5, each)),
    ...inputs.map((each) => field(11, each)),
    ...outputs.map((each) => field(12, each)),
  );
}

/** A model-local function of the domain `tritforge`. */
export function localFunction(
  name: string,
  inputs: readonly string[],
  outputs: readonly string[],
  nodes: readonly Bytes[],
  attributes: readonly string[] = [],
): Uint8Array {
  return message(
    text(1, name),
    ...inputs.map((each) => text(4, each)),
    ...outputs.map((each) => text(5, each)),
    ...attributes.map((each) => text(6, each)),
    ...nodes.map((each) => field(7, each)),
    field(9, opset('', OPSET)),
    text(10, 'tritforge'),
  );
}

const OPSET = 17;
const IR_VERSION = 8;

/** A model of opset 17 and version 1 of the domain `tritforge`. */
export function model(parts: GraphParts, functions: readonly Bytes[] = []): Uint8Array {
  return message(
    integer(1, IR_VERSION),
    field(7, graph(parts)),
    field(8, opset('', OPSET)),
    field(8, opset('tritforge', 1)),
    ...functions.map((each) => field(25, each)),
  );
}

function opset(domain: string, version: number): Uint8Array {
  return message(text(1, domain), integer(2, version));
}

function attribute(name: string, value: Attribute): Uint8Array {
  const named = text(1, name);
  if (typeof value === 'number') return message(named, integer(3, value), integer(20, 2));
  if (typeof value === 'string') return message(named, text(4, value), integer(20, 3));
  if ('float' in value)
    return message(named, [21], new Uint8Array(Float32Array.of(value.float).buffer), integer(20, 1));
  if ('graph' in value) return message(named, field(6, value.graph), integer(20, 5));
  if ('tensor' in value) return message(named, field(5, value.tensor), integer(20, 4));
  return message(named, ...value.map((each) => integer(8, each)), integer(20, 7));
}

function elementType(name: string): number {
  const type = ELEMENT_TYPES[name];
  if (type === undefined) throw new RangeError(`unknown element type ${name}`);
  return type;
}

function message(...parts: readonly Bytes[]): Uint8Array {
  return Uint8Array.from(Buffer.concat(parts.map((part) => Buffer.from(part as Uint8Array))));
}

function varint(value: number | bigint): number[] {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  bytes.push(Number(rest));
  return bytes;
}

function integer(number: number, value: number | bigint): number[] {
  return [...varint(number * 8), ...varint(value)];
}

function field(number: number, content: Bytes): Uint8Array {
  return Buffer.concat([
    Buffer.from([...varint(number * 8 + 2), ...varint(content.length)]),
    Buffer.from(content as Uint8Array),
  ]);
}

function text(number: number, content: string): Uint8Array {
  return content === '' ? new Uint8Array() : field(number, Buffer.from(content));
}
