import { intsAttribute } from '../attribute-access.js';
import type { DataType } from '../dtype.js';
import type { Dimension, Node } from '../graph.js';
import type { Shape } from './dimensions.js';

/** What is known of a value without running the model. */
export interface Inferred {
  readonly dtype: DataType;
  readonly shape: Shape | null;
  /** Elements of a small integer tensor of rank 0 or 1, as far as they are known; shapes are computed from these. */
  readonly ints: readonly Dimension[] | null;
  /** Elements of a constant of few floating-point numbers, such as the scales of a Resize. */
  readonly floats?: readonly number[] | null;
}

/** One node with what is known of its inputs. */
export interface RuleInput {
  readonly node: Node;
  /** Version of the node's operator set. */
  readonly opset: number;
  /** Left-out and missing inputs are {@link UNKNOWN}. */
  input(index: number): Inferred;
  hasInput(index: number): boolean;
}

/** Says what a node's outputs are; outputs that it does not return are unknown. */
export type ShapeRule = (input: RuleInput) => readonly Inferred[];

export type ShapeRules = Readonly<Record<string, ShapeRule>>;

export const UNKNOWN: Inferred = { dtype: 'undefined', shape: null, ints: null };

/** Most elements of an integer tensor that are followed. */
export const MAX_TRACKED_INTS = 1024;
/** Most elements of a floating-point constant that are followed. */
export const MAX_TRACKED_FLOATS = 16;

export function inferred(dtype: DataType, shape: Shape | null, ints: readonly Dimension[] | null = null): Inferred {
  return { dtype, shape, ints };
}

/** Integers that older opsets keep in an attribute and newer ones in an input; null when they are not all known. */
export function staticInts(rule: RuleInput, attribute: string, inputIndex: number): readonly number[] | null {
  if (rule.node.attributes.has(attribute)) return intsAttribute(rule.node, attribute, null);
  const ints = rule.input(inputIndex).ints;
  return ints?.every((value) => typeof value === 'number') ? (ints as readonly number[]) : null;
}

/** Output like the first input, in dtype and shape. */
export const sameAsInput: ShapeRule = (rule) => [inferred(rule.input(0).dtype, rule.input(0).shape)];
