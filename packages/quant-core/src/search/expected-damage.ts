import type { UnitSensitivity } from './sensitivity.js';
import type { Option } from './tracing.js';

/**
 * Sensitivities without their luck. One solution of a layer may happen to hurt less than another one of more bits, and the luck
 * does not come along into another network. The noise in the output of the layer is sure, and damage over noise about the same
 * at all precisions: so the damage to expect is the noise times the geometric mean of that ratio.
 */
export function expectedOptions({ candidates }: UnitSensitivity): Option[] {
  const known = candidates.filter(({ damage, outputNoise }) => damage > 0 && outputNoise > 0);
  const logarithms = known.map(({ damage, outputNoise }) => Math.log(damage / outputNoise));
  const gain = Math.exp(logarithms.reduce((sum, value) => sum + value, 0) / Math.max(known.length, 1));
  return candidates.map(({ bytes, damage, outputNoise }) => ({
    bytes,
    damage: known.length === 0 ? damage : gain * outputNoise,
  }));
}
