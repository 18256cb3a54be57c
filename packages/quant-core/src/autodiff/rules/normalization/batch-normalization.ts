/**
 * BatchNormalization: per channel, with sums over all other axes, of M elements each.
 *
 *   x̂ = (x − μ) r,  r = 1 / √(v + ε),  y = γ x̂ + β          γ̄ = Σ ȳ x̂     β̄ = Σ ȳ
 *
 *   frozen: μ and v are inputs       x̄ = γ r ȳ              μ̄ = −γ r β̄     v̄ = −½ γ r² γ̄
 *   training: of the batch           x̄ = γ r (ȳ − β̄ / M) − γ r (γ̄ / M) x̂
 *
 * "r times something, per channel" is a BatchNormalization with given statistics, which is one pass in onnxruntime:
 * norm(z; γ, μ, v) = γ r (z − μ). So
 *
 *   frozen     x̂ = norm(x; 1, μ, v)       x̄ = norm(ȳ; γ, 0, v)
 *   training   x° = x − μ                 x̄ = norm(ȳ; γ, β̄ / M, v) + norm(x°; −γ γ̄ r / M, 0, v),  γ̄ = r Σ ȳ x°
 *
 * The statistics of the batch are taken from x°, not from Σ x² − M μ²: as fast, and nothing cancels where |μ| is far above √v.
 * A BatchNormalization in training mode would give them sooner, but onnxruntime 1.30 lets the running variance that it puts
 * out overwrite the one that it was given, constants included, which nothing else may then use.
 */
import { elementCount, floatAttribute, floatValue, intAttribute, type Node } from '../../../ir/index.js';
import { type GradientRule, type RuleInput, UnsupportedGradient } from '../../rule.js';
import type { ShapedBuilder } from '../../shaped-builder.js';
import { once } from './once.js';

/** Per channel. */
interface Statistics {
  readonly mean: string;
  readonly variance: string;
}

export const batchNormalization: GradientRule = (input) => {
  const { node, opset, shapeOf, gradientOf } = input;
  if (shapeOf(0).length < 2) throw new UnsupportedGradient('its input has no axis of channels');
  if (opset < 14 && node.outputs.length > 1) throw new UnsupportedGradient('training is supported since opset 14');
  if (intAttribute(node, 'training_mode', 0) === 0) return frozen(input);
  if (gradientOf(1) !== null || gradientOf(2) !== null)
    throw new UnsupportedGradient('the loss depends on the running statistics');
  return training(input);
};

function frozen({ b, dy, node, wants, shapeOf }: RuleInput): (string | null)[] {
  const [x, scale, , mean, variance] = node.inputs as [string, string, string, string, string];
  const { one, zero, normalize, sumPerChannel } = channelwise(b, node, shapeOf(0));
  const deviation = once(() => deviationOf(b, node, variance));
  const factor = once(() => b.binary('Div', scale, deviation()));
  const bias = once(() => sumPerChannel(dy));
  const gain = once(() => sumPerChannel(b.binary('Mul', dy, normalize(x, one, { mean, variance }))));
  const ofVariance = () => b.scaled(b.binary('Mul', b.binary('Div', factor(), deviation()), gain()), -0.5);
  return [
    wants(0) ? normalize(dy, scale, { mean: zero, variance }) : null,
    wants(1) ? gain() : null,
    wants(2) ? bias() : null,
    wants(3) ? b.unary('Neg', b.binary('Mul', factor(), bias())) : null,
    wants(4) ? ofVariance() : null,
  ];
}

function training({ b, dy, node, wants, shapeOf }: RuleInput): (string | null)[] {
  const [x, scale] = node.inputs as [string, string];
  const shape = shapeOf(0);
  const { zero, others, normalize, sumPerChannel } = channelwise(b, node, shape);
  const bias = once(() => sumPerChannel(dy));
  const centred = once(() => b.binary('Sub', x, b.mean(x, others, true)));
  const variance = once(() => b.mean(b.binary('Mul', centred(), centred()), others));
  const reciprocal = once(() => b.unary('Reciprocal', deviationOf(b, node, variance())));
  const gain = once(() => b.binary('Mul', reciprocal(), sumPerChannel(b.binary('Mul', dy, centred()))));
  const gradient = () => {
    const perElement = shape[1]! / elementCount(shape);
    const along = b.scaled(b.binary('Mul', scale, b.binary('Mul', gain(), reciprocal())), -perElement);
    const ofOutput = normalize(dy, scale, { mean: b.scaled(bias(), perElement), variance: variance() });
    return b.binary('Add', ofOutput, normalize(centred(), along, { mean: zero, variance: variance() }));
  };
  return [wants(0) ? gradient() : null, wants(1) ? gain() : null, wants(2) ? bias() : null];
}

/** Passes over a tensor with the channels and ε of a node. */
function channelwise(b: ShapedBuilder, node: Node, shape: readonly number[]) {
  const channels = shape[1]!;
  const epsilon = floatValue(epsilonOf(node));
  const [one, zero] = [1, 0].map((value) => b.filled([channels], value)) as [string, string];
  const others = [...shape.keys()].filter((axis) => axis !== 1);
  return {
    one,
    zero,
    others,
    sumPerChannel: (x: string) => b.sum(x, others),
    /** factor · (x − mean) / √(variance + ε). */
    normalize: (x: string, factor: string, { mean, variance }: Statistics) =>
      b.add('BatchNormalization', [x, factor, zero, mean, variance], shape, { epsilon }),
  };
}

/** √(v + ε). */
const deviationOf = (b: ShapedBuilder, node: Node, variance: string) =>
  b.unary('Sqrt', b.binary('Add', variance, b.scalar(epsilonOf(node))));

const epsilonOf = (node: Node) => floatAttribute(node, 'epsilon', 1e-5);
