/**
 * Before opset 13 Softmax, LogSoftmax and Hardmax flattened their input to two dimensions at `axis` (default 1) and worked
 * along the second; since then they work along `axis` (default −1) alone.
 *
 *   Softmax{axis = a}(x)        ⇒        Softmax{axis = −1}(x)                                          where a is the last axis
 *                               ⇒        Reshape(Softmax{axis = −1}(Flatten{axis = a}(x)), Shape(x))     elsewhere
 */
import { intAttribute, intValue, type Node } from '../../ir/index.js';
import { insertBefore, makeNode } from '../edit-graph.js';
import type { RuleContext, UpgradeRule } from './rule.js';

function coercedToRows(op: string): UpgradeRule {
  return {
    op,
    since: 13,
    apply(node, context) {
      const rank = context.rankOf(node.inputs[0]!);
      const axis = intAttribute(node, 'axis', 1);
      node.attributes.set('axis', intValue(-1));
      if (axis !== -1 && (rank === null || axis !== rank - 1)) flatten(node, axis, context);
      return true;
    },
  };
}

function flatten(node: Node, axis: number, { graph, names }: RuleContext): void {
  const [input, output] = [node.inputs[0]!, node.outputs[0]!];
  const shape = names.value(`${node.name}_shape`);
  const rows = names.value(`${node.name}_rows`);
  const scores = names.value(`${node.name}_scores`);
  insertBefore(graph, node, [
    makeNode(names.node(`${node.name}_shape`), 'Shape', [input], [shape]),
    makeNode(names.node(`${node.name}_flatten`), 'Flatten', [input], [rows], { axis: intValue(axis) }),
  ]);
  node.inputs[0] = rows;
  node.outputs[0] = scores;
  const reshape = makeNode(names.node(`${node.name}_reshape`), 'Reshape', [scores, shape], [output]);
  graph.nodes.splice(graph.nodes.indexOf(node) + 1, 0, reshape);
}

export const SOFTMAX: readonly UpgradeRule[] = ['Softmax', 'LogSoftmax', 'Hardmax'].map(coercedToRows);
