import { intsAttribute, readInts } from '../../ir/index.js';
import { type RuleInput, UnsupportedGradient } from '../rule.js';

/**
 * Integers that an operator takes as an attribute in older opsets and as an input in newer ones.
 * @returns null where they are left out
 * @throws UnsupportedGradient where they are known only when the model runs
 */
export async function staticInts(
  { node, b, constantOf }: RuleInput,
  name: string,
  index: number,
): Promise<readonly number[] | null> {
  if (node.attributes.has(name)) return intsAttribute(node, name, []);
  const value = node.inputs[index] ?? '';
  if (value === '') return null;
  const constant = constantOf(index);
  const known = constant === null ? b.statics.intsOf(value) : (await readInts(constant)).map(Number);
  if (known === null) throw new UnsupportedGradient(`its ${name} are known only when the model runs`);
  return known;
}

/** An axis counted from the front. */
export function axisFromFront(axis: number, rank: number): number {
  return axis < 0 ? axis + rank : axis;
}
