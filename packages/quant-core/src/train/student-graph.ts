import type { QuantizedModel } from '../artifact/quantized-model.js';
import { buildWorkingGraph, type WorkingGraph, WorkingWriter } from '../artifact/working-graph.js';
import { scalarFloat } from '../ir/index.js';

/** The oldest opset in which all gradients can be written: ScatterElements adds up since 16. */
const TRAINING_OPSET = 16;

/**
 * Clips floats to the range of their codes before they are quantized, which gives the same codes: so that gradients stop at the
 * range, and where a rectifier is implied by it, at zero. The range is a multiple of the scale, which may be trained.
 */
class StudentWriter extends WorkingWriter {
  /** Initializer with the scale, by what the plan names as `rangeOf`. */
  protected readonly scaleNames: Map<string, string> = new Map();

  protected override quantizeTo(codes: string, name: string, floats: string): string {
    const { zeroPoint, maxCode } = this.scaleOf(name);
    const bounds = [-zeroPoint, maxCode - zeroPoint].map((code) => this.#multiple(name, code));
    const clipped = this.builder.add('Clip', [floats, ...bounds], `${name}_clipped`);
    return this.builder.addNamed('QuantizeLinear', [clipped, ...this.parameters(name)], codes);
  }

  protected override parameters(name: string): string[] {
    return [this.#scale(name), this.zeroPoint(name)];
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
}

/** Quantized activations; weights, biases and scales as float constants to be replaced. */
export async function buildStudentGraph(source: Omit<QuantizedModel, 'weights'>): Promise<StudentGraph> {
  const scales = new Map<string, string>();
  const Writer = class extends StudentWriter {
    protected override readonly scaleNames = scales;
  };
  return { ...(await buildWorkingGraph(source, TRAINING_OPSET, Writer)), scales };
}
