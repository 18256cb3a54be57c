import { readFloats, readTensor, type Tensor, tensorFromFloats, tensorFromInt8 } from '../../ir/index.js';
import type { EncodedWeight, GroupCodes } from '../../layers/encoded-weight.js';
import type { GraphBuilder } from '../../passes/graph-builder.js';
import type { ScratchTensors } from '../../scratch-tensors.js';
import { decodeRows } from '../decode-weight.js';

/** A weight as operands of the domain's operators. */
export interface WeightOperands {
  readonly weights: 'Ternary' | 'Int8';
  /**
   * Packed codes, or int8 weights with output channels first. Those of 4 bits, of uniform 2 bits and of two ternary planes are computed from
   * codes, which onnxruntime does once, when it loads the model.
   */
  readonly codes: string;
  readonly scales: string;
  /** Null for int8. */
  readonly groupCodes: string | null;
}

export interface WeightOperandsOptions {
  /** Writes ternary weights as the int8 weights that the engine decodes them to. */
  readonly decoded: boolean;
  /** Where large transposed weights go. */
  readonly scratch?: ScratchTensors | undefined;
}

/** Writes weights into a graph, each tensor once. */
export class WeightOperandWriter {
  readonly #builder: GraphBuilder;
  readonly #options: WeightOperandsOptions;
  readonly #written = new Map<EncodedWeight, WeightOperands>();

  constructor(builder: GraphBuilder, options: WeightOperandsOptions) {
    this.#builder = builder;
    this.#options = options;
  }

  /** @param name of the original weight */
  async operands(name: string, weight: EncodedWeight): Promise<WeightOperands> {
    const known = this.#written.get(weight);
    if (known !== undefined) return known;
    const { codes, channelScales } = weight;
    const scales = this.#builder.shared(`${name}_scales`, tensorFromFloats([channelScales.length], channelScales));
    const written: WeightOperands =
      codes.kind === 'ternary' && codes.residual === null && !this.#options.decoded
        ? { weights: 'Ternary', scales, ...this.#ternary(name, weight, codes) }
        : { weights: 'Int8', scales, codes: await this.#int8(name, weight), groupCodes: null };
    this.#written.set(weight, written);
    return written;
  }

  #ternary(name: string, weight: EncodedWeight, { packed, groupCodes, layout }: GroupCodes) {
    const kernel = weight.shape.length === 2 ? [] : weight.shape.slice(2);
    const groups = groupCodes.shape[0]! / (layout.outputChannels * layout.taps);
    return {
      codes: this.#builder.constant(`${name}_ternary`, packed),
      groupCodes: this.#builder.constant(`${name}_group_codes`, {
        ...groupCodes,
        shape: [layout.outputChannels, groups, ...kernel],
      }),
    };
  }

  async #int8(name: string, weight: EncodedWeight): Promise<string> {
    if (weight.codes.kind !== 'int8' && !this.#options.decoded) {
      return decodeRows(this.#builder, name, weight, weight.codes, 'int8');
    }
    const values = weight.codes.kind === 'int8' ? weight.codes.values : await decodedInt8(weight);
    const rows = weight.transposed ? await transposed(values) : values;
    return this.#builder.constant(`${name}_int8`, (await this.#options.scratch?.keep(rows)) ?? rows);
  }
}

/** The engine's own reading of ternary codes, back in units of the channel scales: exact, as t·c is an integer. */
async function decodedInt8({ decoded, channelScales, transposed, shape }: EncodedWeight): Promise<Tensor> {
  if (decoded === null) throw new TypeError('the weight was not decoded');
  const floats = await readFloats(decoded);
  const perChannel = floats.length / channelScales.length;
  const channelOf = (i: number) => (transposed ? i % channelScales.length : Math.floor(i / perChannel));
  return tensorFromInt8(
    shape,
    Int8Array.from(floats, (value, i) => Math.round(value / channelScales[channelOf(i)]!)),
  );
}

/** [K, N] → [N, K]. */
async function transposed(tensor: Tensor): Promise<Tensor> {
  const [rows, columns] = tensor.shape as [number, number];
  const bytes = await readTensor(tensor);
  const moved = new Int8Array(bytes.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) moved[column * rows + row] = bytes[row * columns + column]!;
  }
  return tensorFromInt8([columns, rows], moved);
}
