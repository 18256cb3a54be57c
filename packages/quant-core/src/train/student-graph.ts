import type { RangeLearning } from '@tritforge/contracts';
import type { QuantizedModel } from '../artifact/quantized-model.js';
import { buildWorkingGraph, type WorkingGraph, WorkingWriter } from '../artifact/working-graph.js';
import { scalarFloat } from '../ir/index.js';

/** The oldest opset in which all gradients can be written: ScatterElements adds up since 16. */
const TRAINING_OPSET = 16;

/**
 * Clips floats to the range of their codes before they are quantized, which gives the same codes: so that gradients stop at the
 * range, and where a rectifier is implied by it, at zero. The range is a multiple of the scale, which may be trained: that of
 * y = s · round(clip(x / s)), clipped at n · s,
 *
 *   lsq    by all values:  ∂y/∂s = y / s − x / s within the range, n beyond it
 *   pact   by its range α = n · s alone:  ∂y/∂α = 0 within the range, 1 beyond it
 *
 * Sources: Esser et al. 2020 (LSQ), eq. 3; Choi et al. 2018 (PACT), eq. 3.
 */
class StudentWriter extends WorkingWriter {
  protected readonly quantizer: RangeLearning = 'lsq';
  /** Initializer with the scale, by what the plan names as `rangeOf`. */
  protected readonly scaleNames: Map<string, string> = new Map();
  /** The same where it counts as a constant. */
  protected readonly heldScales: Map<string, string> = new Map();

  protected override quantizeTo(codes: string, name: string, floats: string): string {
    const { zeroPoint, maxCode } = this.scaleOf(name);
    // Before the Clip, in whose place all of it may become one operator.
    const parameters = this.parameters(name);
    const bounds = [-zeroPoint, maxCode - zeroPoint].map((code) => this.#multiple(name, code));
    const clipped = this.builder.add('Clip', [floats, ...bounds], `${name}_clipped`);
    return this.builder.addNamed('QuantizeLinear', [clipped, ...parameters], codes);
  }

  protected override parameters(name: string): string[] {
    return [this.quantizer === 'lsq' ? this.#scale(name) : this.#heldScale(name), this.zeroPoint(name)];
  }

  #heldScale(name: string): string {
    const scale = this.#scale(name);
    const known = this.heldScales.get(scale) ?? this.builder.add('Identity', [scale], `${scale}_held`);
    this.heldScales.set(scale, known);
    return known;
  }

  /** A constant of its own for each range, also where two scales are equal. */
  #scale(name: string): string {
    const { rangeOf } = this.source.activations.values.get(name)!;
    const known = this.scaleNames.get(rangeOf);
    if (known !== undefined) return known;
    const added = this.builder.constant(`${rangeOf}_scale`, scalarFloat(this.scaleOf(name).scale));
    this.scaleNames.set(rangeOf, added);
    return added;
  }

  #multiple(name: string, code: number): string {
    const factor = this.builder.shared('code', scalarFloat(code));
    return code === 0 ? factor : this.builder.add('Mul', [this.#scale(name), factor], `${name}_bound`);
  }
}

/** The network that is trained. */
export interface StudentGraph extends WorkingGraph {
  /** Initializer with the scale of a quantized value, by what the plan names as `rangeOf`. */
  readonly scales: ReadonlyMap<string, string>;
  /** Values that count as constants in gradients. */
  readonly held: ReadonlySet<string>;
}

/** Quantized activations; weights, biases and scales as float constants to be replaced. */
export async function buildStudentGraph(
  source: Omit<QuantizedModel, 'weights'>,
  quantizer: RangeLearning,
): Promise<StudentGraph> {
  const scales = new Map<string, string>();
  const heldScales = new Map<string, string>();
  const Writer = class extends StudentWriter {
    protected override readonly quantizer = quantizer;
    protected override readonly scaleNames = scales;
    protected override readonly heldScales = heldScales;
  };
  const graph = await buildWorkingGraph(source, TRAINING_OPSET, Writer);
  return { ...graph, scales, held: new Set(heldScales.values()) };
}
