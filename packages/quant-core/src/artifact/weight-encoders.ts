import type { ArtifactProfile } from '@tritforge/contracts';
import { intsValue, intValue, tensorFromFloats, tensorFromInt8 } from '../ir/index.js';
import type { EncodedWeight } from '../layers/encoded-weight.js';
import type { Layer } from '../layers/layer.js';
import type { GraphBuilder } from '../passes/graph-builder.js';
import { decodeWeight } from './decode-weight.js';

/**
 * How weights are stored: as an artifact stores them, or decoded by the engine itself, to floats (`reference`) or to the int8
 * operands of the operators that `accelerated` calls (`integerReference`). `nbitsReference` is `ort-nbits`, computed in floats.
 */
export type WeightEncoding = ArtifactProfile | 'reference' | 'integerReference' | 'nbitsReference';

/** The use of a weight by one operator. */
export type WeightUse = Pick<Layer, 'weightName' | 'turned'>;

/** Writes weights into a graph, each tensor once. */
export class WeightWriter {
  readonly #builder: GraphBuilder;
  readonly #encoding: WeightEncoding;
  readonly #written = new Map<EncodedWeight, string>();
  readonly #turned = new Map<string, string>();

  constructor(builder: GraphBuilder, encoding: WeightEncoding) {
    this.#builder = builder;
    this.#encoding = encoding;
  }

  /** Whether weights are floats that the engine decoded itself. */
  get isDecoded(): boolean {
    return this.#encoding === 'reference' || this.#encoding === 'integerReference';
  }

  /** A floating-point weight for an operator whose input is quantized: a DequantizeLinear that onnxruntime fuses with it. */
  forIntegerLayer(use: WeightUse, weight: EncodedWeight): string {
    if (this.isDecoded) return this.#decoded(use, weight);
    const name = use.weightName;
    const channels = weight.channelScales.length;
    const inputs = [
      this.#int8(use, weight),
      this.scales(name, weight),
      // Of its own: where products could saturate, session.x64quantprecision has onnxruntime shift weights and zero points to
      // uint8, under names made from theirs, and a second layer with the same zero points then fails to load.
      this.#builder.constant(`${name}_zero_points`, tensorFromInt8([channels], new Int8Array(channels))),
    ];
    return this.#builder.add('DequantizeLinear', inputs, `${name}_dequantized`, {
      axis: intValue(channelAxis(use, weight)),
    });
  }

  /** A floating-point weight that onnxruntime computes once, when it loads the model. */
  forFloatLayer(use: WeightUse, weight: EncodedWeight): string {
    if (this.isDecoded) return this.#decoded(use, weight);
    const name = use.weightName;
    const scales = use.turned ? this.scales(name, weight) : this.#scalesAlongChannels(name, weight);
    const floats = this.#builder.add('Cast', [this.#int8(use, weight)], `${name}_float`, { to: intValue(1) });
    return this.#builder.add('Mul', [floats, scales], `${name}_dequantized`);
  }

  /** Int8 codes with output channels first, of a weight that the model stores so. */
  rows(name: string, weight: EncodedWeight): string {
    return this.#int8({ weightName: name, turned: false }, weight);
  }

  /** The scales of the output channels, [OC]. */
  scales(name: string, { channelScales }: EncodedWeight): string {
    return this.#builder.shared(`${name}_scales`, tensorFromFloats([channelScales.length], channelScales));
  }

  #scalesAlongChannels(name: string, weight: EncodedWeight): string {
    const axis = weight.transposed ? 1 : 0;
    const shape = weight.shape.map((_, i) => (i === axis ? weight.channelScales.length : 1));
    return this.#builder.constant(`${name}_scales`, tensorFromFloats(shape, weight.channelScales));
  }

  #decoded(use: WeightUse, weight: EncodedWeight): string {
    const name = use.weightName;
    if (weight.decoded === null) throw new TypeError(`${name} was not decoded`);
    const known = this.#written.get(weight) ?? this.#builder.constant(`${name}_decoded`, weight.decoded);
    this.#written.set(weight, known);
    return this.#asUsed(use, known);
  }

  #int8(use: WeightUse, weight: EncodedWeight): string {
    const name = use.weightName;
    const known = this.#written.get(weight);
    if (known !== undefined) return this.#asUsed(use, known);
    const { codes } = weight;
    const type = this.#encoding === 'compat' ? 'float' : 'int8';
    const added =
      codes.kind === 'int8'
        ? this.#builder.constant(`${name}_int8`, codes.values)
        : decodeWeight(this.#builder, name, weight, codes, type);
    this.#written.set(weight, added);
    return this.#asUsed(use, added);
  }

  #asUsed({ weightName, turned }: WeightUse, stored: string): string {
    if (!turned) return stored;
    const known = this.#turned.get(stored);
    if (known !== undefined) return known;
    const added = this.#builder.add('Transpose', [stored], `${weightName}_turned`, { perm: intsValue([1, 0]) });
    this.#turned.set(stored, added);
    return added;
  }
}

/** The axis of output channels in the weight as the operator gets it. */
function channelAxis({ turned }: WeightUse, { transposed }: EncodedWeight): 0 | 1 {
  return transposed !== turned ? 1 : 0;
}
