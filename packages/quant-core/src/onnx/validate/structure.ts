import { TritforgeError } from '@tritforge/contracts';
import { type Graph, type Model, type Node, type Scope, topologicalOrder, walkGraphs } from '../../ir/index.js';
import type { ModelLimits } from '../limits.js';
import type { OpaqueGraph } from '../wire/opaque.js';

/**
 * Every value must be made exactly once and before it is used, and the model must return something.
 * @throws TritforgeError MODEL_NO_OUTPUT, MODEL_INVALID, MODEL_CYCLIC, MODEL_TOO_DEEP
 */
export function checkStructure(model: Model, limits: ModelLimits): void {
  if (model.graph.outputs.length === 0) {
    throw new TritforgeError('MODEL_NO_OUTPUT', 'The graph has no outputs', {
      remediation: 'Export the model with its results as graph outputs.',
    });
  }
  const defined = new Map<Scope, ReadonlySet<string>>();
  walkGraphs(model, (scope) => {
    if (depthOf(scope) > limits.maxSubgraphDepth) throw tooDeep(scope, limits.maxSubgraphDepth);
    defined.set(scope, definedIn(scope));
    const isVisible = (name: string) => {
      for (let at: Scope | null = scope; at !== null; at = at.parent) if (defined.get(at)!.has(name)) return true;
      return false;
    };
    for (const node of scope.nodes) checkInputs(node, isVisible);
    for (const name of outputsOf(scope)) if (!isVisible(name)) throw missingOutput(name, scope);
    topologicalOrder(scope.nodes);
  });
}

function definedIn(scope: Scope): ReadonlySet<string> {
  const { graph } = scope;
  const defined = new Set<string>();
  const inputs = graph?.inputs.map((input) => input.name) ?? scope.function!.inputs;
  for (const name of inputs) define(defined, name, `input ${name}`);
  // An initializer may share its name with an input, for which it is the default.
  for (const name of graph?.initializers.keys() ?? []) defined.add(name);
  for (const name of sparseInitializersOf(graph)) defined.add(name);
  for (const node of scope.nodes) {
    for (const output of node.outputs) {
      if (output !== '') define(defined, output, `output ${output} of node ${node.name}`, node);
    }
  }
  return defined;
}

function define(defined: Set<string>, name: string, what: string, node?: Node): void {
  if (defined.has(name)) {
    throw new TritforgeError('MODEL_INVALID', `The ${what} has the name of a value that exists already`, {
      ...(node && { node: node.name, opType: node.opType }),
      remediation: 'Every value needs a name of its own; export the model again.',
    });
  }
  defined.add(name);
}

function checkInputs(node: Node, isVisible: (name: string) => boolean): void {
  const unknown = node.inputs.find((name) => name !== '' && !isVisible(name));
  if (unknown === undefined) return;
  throw new TritforgeError(
    'MODEL_INVALID',
    `Node ${node.name} (${node.opType}) uses ${unknown}, which nothing defines`,
    {
      node: node.name,
      opType: node.opType,
      remediation: 'The graph is incomplete; export the model again.',
    },
  );
}

function sparseInitializersOf(graph: Graph | null): readonly string[] {
  return (graph?.opaque as OpaqueGraph | undefined)?.sparseInitializers.map((sparse) => sparse.name) ?? [];
}

function outputsOf(scope: Scope): readonly string[] {
  return scope.graph?.outputs.map((output) => output.name) ?? scope.function!.outputs;
}

function depthOf(scope: Scope): number {
  let depth = 0;
  for (let at = scope.parent; at !== null; at = at.parent) depth++;
  return depth;
}

function missingOutput(name: string, scope: Scope): TritforgeError {
  const where = scope.function?.name ?? scope.graph?.name ?? '';
  return new TritforgeError('MODEL_INVALID', `The output ${name} of ${where} is a value that nothing defines`, {
    field: name,
    remediation: 'The graph is incomplete; export the model again.',
  });
}

function tooDeep(scope: Scope, limit: number): TritforgeError {
  return new TritforgeError('MODEL_TOO_DEEP', `Subgraphs are nested more than ${limit} deep`, {
    ...(scope.owner && { node: scope.owner.name, opType: scope.owner.opType }),
    remediation: 'Export the model with fewer conditions and loops inside each other.',
  });
}
