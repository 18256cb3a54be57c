/**
 * Writes ONNX files byte by byte (field numbers of onnx.proto), so that tests can build models which no careful writer
 * would produce.
 */

/** Element types of TensorProto. */
export const DATA_TYPE = { float: 1, uint8: 2, int8: 3, int32: 6, int64: 7, string: 8, bool: 9, int4: 22 } as const;

function varint(value: number | bigint): Buffer {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  do {
    const low = Number(rest & 0x7fn);
    rest >>= 7n;
    bytes.push(rest > 0n ? low | 0x80 : low);
  } while (rest > 0n);
  return Buffer.from(bytes);
}

/** A field that holds a number. */
const number = (field: number, value: number | bigint): Buffer => Buffer.concat([varint(field << 3), varint(value)]);

/** A field that holds bytes, a text or a message. */
function bytes(field: number, content: Buffer | string): Buffer {
  const data = Buffer.from(content as string);
  return Buffer.concat([varint((field << 3) | 2), varint(data.length), data]);
}

const all = (field: number, items: readonly (Buffer | string)[]): Buffer =>
  Buffer.concat(items.map((item) => bytes(field, item)));

/** What a tensor says of itself; `raw` need not agree with it. */
export interface TensorFields {
  readonly name?: string;
  readonly dims: readonly (number | bigint)[];
  readonly type?: number;
  readonly raw?: Buffer;
  readonly external?: Readonly<Record<string, string>>;
}

export function tensor({ name = '', dims, type = DATA_TYPE.float, raw, external }: TensorFields): Buffer {
  const entries = Object.entries(external ?? {}).map(([key, value]) => Buffer.concat([bytes(1, key), bytes(2, value)]));
  return Buffer.concat([
    ...dims.map((dim) => number(1, dim)),
    number(2, type),
    bytes(8, name),
    ...(raw ? [bytes(9, raw)] : []),
    ...(external ? [all(13, entries), number(14, 1)] : []),
  ]);
}

/** A float tensor with these values. */
export function floats(name: string, dims: readonly number[], values: Iterable<number>): Buffer {
  return tensor({ name, dims, raw: Buffer.from(Float32Array.from(values).buffer) });
}

export const int64s = (name: string, dims: readonly number[], values: readonly (number | bigint)[]): Buffer =>
  tensor({ name, dims, type: DATA_TYPE.int64, raw: Buffer.from(BigInt64Array.from(values.map(BigInt)).buffer) });

export const attribute = {
  int: (name: string, value: number) => Buffer.concat([bytes(1, name), number(3, value), number(20, 2)]),
  ints: (name: string, values: readonly number[]) =>
    Buffer.concat([bytes(1, name), ...values.map((value) => number(8, value)), number(20, 7)]),
  tensor: (name: string, value: Buffer) => Buffer.concat([bytes(1, name), bytes(5, value), number(20, 4)]),
  graph: (name: string, value: Buffer) => Buffer.concat([bytes(1, name), bytes(6, value), number(20, 5)]),
};

export function node(
  op: string,
  inputs: readonly string[],
  outputs: readonly string[],
  options: { name?: string; domain?: string; attributes?: readonly Buffer[] } = {},
): Buffer {
  return Buffer.concat([
    all(1, inputs),
    all(2, outputs),
    bytes(3, options.name ?? outputs[0] ?? op),
    bytes(4, op),
    all(5, options.attributes ?? []),
    bytes(7, options.domain ?? ''),
  ]);
}

/** A graph input or output; dimensions that are texts are symbolic. */
export function value(name: string, dims: readonly (number | string)[], type: number = DATA_TYPE.float): Buffer {
  const shape = all(
    1,
    dims.map((dim) => (typeof dim === 'number' ? number(1, dim) : bytes(2, dim))),
  );
  return Buffer.concat([bytes(1, name), bytes(2, bytes(1, Buffer.concat([number(1, type), bytes(2, shape)])))]);
}

export interface GraphFields {
  readonly nodes: readonly Buffer[];
  readonly inputs?: readonly Buffer[];
  readonly outputs?: readonly Buffer[];
  readonly initializers?: readonly Buffer[];
}

export function graph({ nodes, inputs = [], outputs = [], initializers = [] }: GraphFields): Buffer {
  return Buffer.concat([all(1, nodes), bytes(2, 'graph'), all(5, initializers), all(11, inputs), all(12, outputs)]);
}

const opset = (domain: string, version: number): Buffer => Buffer.concat([bytes(1, domain), number(2, version)]);

/** A function of the domain `local`. */
export function modelFunction(
  name: string,
  inputs: readonly string[],
  outputs: readonly string[],
  nodes: readonly Buffer[],
): Buffer {
  return Buffer.concat([
    bytes(1, name),
    all(4, inputs),
    all(5, outputs),
    all(7, nodes),
    bytes(9, opset('', 17)),
    bytes(9, opset('local', 1)),
    bytes(10, 'local'),
  ]);
}

export function model(
  fields: GraphFields,
  options: { opset?: number; irVersion?: number; functions?: readonly Buffer[]; domains?: readonly string[] } = {},
): Buffer {
  const domains = [...(options.domains ?? []), ...(options.functions ? ['local'] : [])];
  return Buffer.concat([
    number(1, options.irVersion ?? 8),
    bytes(2, 'tritforge-test'),
    bytes(7, graph(fields)),
    bytes(8, opset('', options.opset ?? 17)),
    all(
      8,
      domains.map((domain) => opset(domain, 1)),
    ),
    all(25, options.functions ?? []),
  ]);
}
