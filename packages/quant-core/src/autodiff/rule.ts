import type { Node, Tensor } from '../ir/index.js';
import type { Shape, ShapedBuilder } from './shaped-builder.js';

/** What a gradient rule sees of one operator of the forward graph. */
export interface RuleInput {
  readonly node: Node;
  /** Version of the standard operators. */
  readonly opset: number;
  /** Where the backward nodes go. */
  readonly b: ShapedBuilder;
  /** ∂loss/∂output of the first output. A rule is called only where the loss depends on an output that it differentiates. */
  readonly dy: string;
  /** ∂loss/∂output of any output; null where the loss does not depend on it. */
  readonly gradientOf: (output: number) => string | null;
  /** Whether the gradient of an input is wanted. Others may be left null, which saves their nodes. */
  readonly wants: (input: number) => boolean;
  /** Shape of an input. */
  readonly shapeOf: (input: number) => Shape;
  /** A constant input, in memory or on disk; null where the input is computed, fed or left out. */
  readonly constantOf: (input: number) => Tensor | null;
}

/**
 * Adds the nodes that compute ∂loss/∂input from ∂loss/∂output.
 * @returns by input, in the shape of the input; null where there is none or none is wanted
 * @throws UnsupportedGradient where the attributes of this node are beyond the rule
 */
export type GradientRule = (input: RuleInput) => Promise<readonly (string | null)[]> | readonly (string | null)[];

/** Thrown by a rule that knows its operator but not this form of it; says which. */
export class UnsupportedGradient extends Error {}
