import type { QuantizedModel } from '../artifact/quantized-model.js';
import { buildWorkingGraph, type WorkingGraph, WorkingWriter } from '../artifact/working-graph.js';
import { scalarFloat } from '../ir/index.js';

/** The oldest opset whose QuantizeLinear, Split and ReduceSum the training graph is written in. */
const TRAINING_OPSET = 13;

/**
 * Clips floats to the range of their codes before they are quantized, which gives the same codes: so that gradients stop at the
 * range, and where a rectifier is implied by it, at zero.
 */
class StudentWriter extends WorkingWriter {
  protected override quantizeTo(codes: string, name: string, floats: string): string {
    const { scale, zeroPoint, maxCode } = this.scaleOf(name);
    const bounds = [-zeroPoint * scale, (maxCode - zeroPoint) * scale];
    const [low, high] = bounds.map((bound) => this.builder.shared('bound', scalarFloat(bound)));
    const clipped = this.builder.add('Clip', [floats, low!, high!], `${name}_clipped`);
    return this.builder.addNamed('QuantizeLinear', [clipped, ...this.parameters(name)], codes);
  }
}

/** The network that is trained: quantized activations, and weights and biases as float constants to be replaced. */
export function buildStudentGraph(source: Omit<QuantizedModel, 'weights'>): Promise<WorkingGraph> {
  return buildWorkingGraph(source, TRAINING_OPSET, StudentWriter);
}
