import type { Node } from '../../ir/index.js';
import type { StaticValues } from '../static-values.js';

/** How the values of a graph are used. */
export interface Usage {
  /** How often a value is read; an output of the graph once more. */
  readonly uses: ReadonlyMap<string, number>;
  readonly readers: ReadonlyMap<string, readonly Node[]>;
  readonly statics: StaticValues;
}

/** A value that is quantized for nothing but the values that its codes stand for. */
export interface CodesAndBack {
  readonly scale: string;
  /** Codes less the zero point. */
  readonly least: number;
  readonly most: number;
  readonly nodes: readonly Node[];
  /** What the codes are made back into, by each node that does. */
  readonly values: readonly string[];
}

/** Least and largest code of a type. */
const CODE_RANGES: Readonly<Record<string, readonly [number, number]>> = {
  int8: [-128, 127],
  uint8: [0, 255],
};

/** The QuantizeLinear of a value and the DequantizeLinear behind it; null where something else reads the value or its codes. */
export function codesAndBack(value: string, { uses, readers, statics }: Usage): CodesAndBack | null {
  const [quantize, ...others] = readers.get(value) ?? [];
  if (quantize?.opType !== 'QuantizeLinear' || others.length > 0) return null;
  const [, scale = '', zeroPoint = ''] = quantize.inputs;
  const [codes] = quantize.outputs as [string];
  const back = readers.get(codes) ?? [];
  const zero = zeroPoint === '' ? [0] : statics.intsOf(zeroPoint);
  const range = CODE_RANGES[zeroPoint === '' ? 'uint8' : statics.dtypeOf(zeroPoint)];
  const isSame = ({ inputs: [x, s, z = ''] }: Node) => x === codes && s === scale && z === zeroPoint;
  const isWhole =
    back.length > 0 &&
    back.every((node) => node.opType === 'DequantizeLinear' && isSame(node)) &&
    [value, codes].every((name) => uses.get(name) === readers.get(name)?.length);
  if (!isWhole || zero?.length !== 1 || range === undefined) return null;
  return {
    scale,
    least: range[0] - zero[0]!,
    most: range[1] - zero[0]!,
    nodes: [quantize, ...back],
    values: back.map(({ outputs }) => outputs[0]!),
  };
}
