import { TritforgeError } from '@tritforge/contracts';
import type { DataType, Graph, NameAllocator, Node, Tensor } from '../../ir/index.js';

/** What a rule may do to the graph around its node. */
export interface RuleContext {
  readonly graph: Graph;
  readonly names: NameAllocator;
  /** The standard opset of the model before the upgrade. */
  readonly opset: number;
  /** Rank and dtype of a value where they are known without running the model. */
  rankOf(name: string): number | null;
  dtypeOf(name: string): DataType | null;
  /** The constant behind a value of the main graph or of the node's own graph. */
  constantOf(name: string): Tensor | undefined;
}

/** Brings a node from the opset before `since` to `since`, in place. */
export interface UpgradeRule {
  readonly op: string;
  /** The opset in which the operator changed. */
  readonly since: number;
  /**
   * @returns whether anything changed
   * @throws TritforgeError MODEL_UNSUPPORTED_OPSET when the node's meaning cannot be expressed in the newer opset
   */
  apply(node: Node, context: RuleContext): boolean | Promise<boolean>;
}

/** A constant that only this node uses, as a value name. */
export function addConstant(context: RuleContext, node: Node, role: string, tensor: Tensor): string {
  const name = context.names.value(`${node.name}_${role}`);
  context.graph.initializers.set(name, tensor);
  return name;
}

/** Sets an input by position; positions in between that are left out become ''. */
export function setInput(node: Node, position: number, name: string): void {
  while (node.inputs.length < position) node.inputs.push('');
  node.inputs[position] = name;
}

/** The error for a node that has no equivalent in opset 13. */
export function cannotUpgrade(node: Node, opset: number, why: string): TritforgeError {
  return new TritforgeError(
    'MODEL_UNSUPPORTED_OPSET',
    `${node.opType} ${node.name} of opset ${opset} has no equivalent in opset 13: ${why}`,
    {
      node: node.name,
      opType: node.opType,
      opset,
      remediation: 'Export the model with opset 13 or newer.',
    },
  );
}
