import type { ArtifactProfile } from '@tritforge/contracts';
import { intValue, tensorFromFloats, tensorFromInt8 } from '../ir/index.js';
import type { EncodedWeight } from '../layers/encoded-weight.js';
import { decodeGroups } from './decode-groups.js';
import type { GraphBuilder } from './graph-builder.js';

/**
 * How weights are stored: as an artifact stores them, or decoded by the engine itself, to floats (`reference`) or to the int8
 * operands of the operators that `accelerated` calls (`integerReference`). `nbitsReference` is `ort-nbits`, computed in floats.
 */
export type WeightEncoding = ArtifactProfile | 'reference' | 'integerReference' | 'nbitsReference';

/** Writes weights into a graph, each tensor once. */
export class WeightWriter {
  readonly #builder: GraphBuilder;
  readonly #encoding: WeightEncoding;
  readonly #written = new Map<EncodedWeight, string>();

  constructor(builder: GraphBuilder, encoding: WeightEncoding) {
    this.#builder = builder;
    this.#encoding = encoding;
  }

  /**
   * A floating-point weight for an operator whose input is quantized: a DequantizeLinear that onnxruntime fuses with it.
   * @param name of the original weight
   */
  forIntegerLayer(name: string, weight: EncodedWeight): string {
    if (this.#isDecoded) return this.#decoded(name, weight);
    const channels = weight.channelScales.length;
    const inputs = [
      this.#int8(name, weight),
      this.#builder.shared(`${name}_scales`, tensorFromFloats([channels], weight.channelScales)),
      // Of its own: where products could saturate, session.x64quantprecision has onnxruntime shift weights and zero points to
      // uint8, under names made from theirs, and a second layer with the same zero points then fails to load.
      this.#builder.constant(`${name}_zero_points`, tensorFromInt8([channels], new Int8Array(channels))),
    ];
    return this.#builder.add('DequantizeLinear', inputs, `${name}_dequantized`, {
      axis: intValue(weight.transposed ? 1 : 0),
    });
  }

  /** A floating-point weight that onnxruntime computes once, when it loads the model. */
  forFloatLayer(name: string, weight: EncodedWeight): string {
    if (this.#isDecoded) return this.#decoded(name, weight);
    const channels = weight.channelScales.length;
    const shape = weight.shape.map((_, axis) => (axis === (weight.transposed ? 1 : 0) ? channels : 1));
    const scales = this.#builder.constant(`${name}_scales`, tensorFromFloats(shape, weight.channelScales));
    const floats = this.#builder.add('Cast', [this.#int8(name, weight)], `${name}_float`, { to: intValue(1) });
    return this.#builder.add('Mul', [floats, scales], `${name}_dequantized`);
  }

  get #isDecoded(): boolean {
    return this.#encoding === 'reference' || this.#encoding === 'integerReference';
  }

  #decoded(name: string, weight: EncodedWeight): string {
    if (weight.decoded === null) throw new TypeError(`${name} was not decoded`);
    const known = this.#written.get(weight) ?? this.#builder.constant(`${name}_decoded`, weight.decoded);
    this.#written.set(weight, known);
    return known;
  }

  #int8(name: string, weight: EncodedWeight): string {
    const known = this.#written.get(weight);
    if (known !== undefined) return known;
    const { codes } = weight;
    const type = this.#encoding === 'compat' ? 'float' : 'int8';
    const added =
      codes.kind === 'int8'
        ? this.#builder.constant(`${name}_int8`, codes.values)
        : decodeGroups(this.#builder, name, weight, codes, type);
    this.#written.set(weight, added);
    return added;
  }
}
