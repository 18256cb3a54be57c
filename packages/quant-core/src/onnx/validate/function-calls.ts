import { TritforgeError } from '@tritforge/contracts';
import { type FunctionDefinition, type Model, type Node, subgraphsOf } from '../../ir/index.js';
import type { ModelLimits } from '../limits.js';

/** The functions of a model by what calls name. */
export type FunctionsByKey = ReadonlyMap<string, FunctionDefinition>;

export function functionsByKey(model: Model): FunctionsByKey {
  return new Map(model.functions.map((f) => [keyOf(f.domain, f.name, f.overload), f]));
}

/** The function that the node calls; undefined for operators. */
export function functionOf(functions: FunctionsByKey, node: Node): FunctionDefinition | undefined {
  return functions.get(keyOf(node.domain, node.opType, node.overload ?? ''));
}

function keyOf(domain: string, name: string, overload: string): string {
  return JSON.stringify([domain, name, overload]);
}

/** What a list of nodes becomes when its calls are expanded. */
interface Cost {
  readonly nodes: number;
  readonly depth: number;
}

/**
 * Counts nodes as onnxruntime would see them after inlining, without inlining: each function is counted once, so that
 * a file of a few kilobytes that means a billion nodes is refused in microseconds.
 * @throws TritforgeError MODEL_TOO_DEEP when functions call each other too deeply or in a circle; MODEL_TOO_MANY_NODES
 */
export function checkFunctionExpansion(model: Model, limits: ModelLimits): void {
  const functions = functionsByKey(model);
  const costs = new Map<FunctionDefinition, Cost>();
  const path: FunctionDefinition[] = [];

  const costOfFunction = (definition: FunctionDefinition): Cost => {
    const known = costs.get(definition);
    if (known !== undefined) return known;
    if (path.includes(definition)) throw recursive(definition);
    if (path.length >= limits.maxFunctionDepth) throw tooDeep(definition, limits.maxFunctionDepth);
    path.push(definition);
    const cost = costOfNodes(definition.nodes);
    path.pop();
    if (cost.depth >= limits.maxFunctionDepth) throw tooDeep(definition, limits.maxFunctionDepth);
    costs.set(definition, cost);
    return cost;
  };

  const costOfNodes = (nodes: readonly Node[]): Cost => {
    let total: Cost = { nodes: 0, depth: 0 };
    const include = (cost: Cost, levels: number) => {
      total = { nodes: total.nodes + cost.nodes, depth: Math.max(total.depth, cost.depth + levels) };
    };
    for (const node of nodes) {
      const definition = functionOf(functions, node);
      if (definition === undefined) include({ nodes: 1, depth: 0 }, 0);
      else include(costOfFunction(definition), 1);
      for (const graph of subgraphsOf(node)) include(costOfNodes(graph.nodes), 0);
    }
    return total;
  };

  const { nodes } = costOfNodes(model.graph.nodes);
  // Functions that nothing calls are still read by onnxruntime.
  for (const definition of model.functions) costOfFunction(definition);
  if (nodes <= limits.maxExpandedNodes) return;
  const message = `The model has ${nodes.toPrecision(3)} nodes with its functions expanded; the limit is ${limits.maxExpandedNodes}`;
  throw new TritforgeError('MODEL_TOO_MANY_NODES', message, { remediation: 'Call functions less often.' });
}

function recursive({ name }: FunctionDefinition): TritforgeError {
  return new TritforgeError('MODEL_TOO_DEEP', `Function ${name} calls itself, directly or through other functions`, {
    opType: name,
    remediation: 'ONNX functions must not be recursive; export the model again.',
  });
}

function tooDeep({ name }: FunctionDefinition, limit: number): TritforgeError {
  return new TritforgeError('MODEL_TOO_DEEP', `Functions call each other more than ${limit} deep, at ${name}`, {
    opType: name,
    remediation: 'Inline functions before the upload.',
  });
}
