import { subgraphsOf } from './attribute-access.js';
import type { FunctionDefinition, Graph, Model, Node } from './graph.js';

/** One list of nodes in a model: the main graph, a subgraph, or the body of a function. */
export interface Scope {
  readonly nodes: Node[];
  /** Null for the body of a function. */
  readonly graph: Graph | null;
  /** The function that the scope lies in, directly or in a subgraph; null outside functions. */
  readonly function: FunctionDefinition | null;
  /** The enclosing scope and the node whose attribute holds this graph; null for the main graph and function bodies. */
  readonly parent: Scope | null;
  readonly owner: Node | null;
}

/** Visits the main graph, then every function body, each followed by its subgraphs, in file order. */
export function walkGraphs(model: Model, visit: (scope: Scope) => void): void {
  walk({ nodes: model.graph.nodes, graph: model.graph, function: null, parent: null, owner: null }, visit);
  for (const definition of model.functions) {
    walk({ nodes: definition.nodes, graph: null, function: definition, parent: null, owner: null }, visit);
  }
}

function walk(scope: Scope, visit: (scope: Scope) => void): void {
  visit(scope);
  for (const owner of scope.nodes) {
    for (const graph of subgraphsOf(owner)) {
      walk({ nodes: graph.nodes, graph, function: scope.function, parent: scope, owner }, visit);
    }
  }
}
