/**
 *   y = f(x; a)  with a model-local  f(p; q) = body        ⇒        body[p := x, q := a], inner values renamed
 *
 * Layers inside functions can be quantized only once they are in the graph. A call stays as it is when the function uses
 * other operator versions than the model, or refers to an attribute that the call leaves out and that may have a default.
 */
import { TritforgeError } from '@tritforge/contracts';
import {
  type Attribute,
  type FunctionDefinition,
  type Graph,
  type Model,
  NameAllocator,
  type Node,
  walkGraphs,
} from '../ir/index.js';

/** What inlining may grow to. */
export interface InlineLimits {
  readonly maxNodes: number;
  readonly maxDepth: number;
}

export const DEFAULT_INLINE_LIMITS: InlineLimits = { maxNodes: 200_000, maxDepth: 32 };

/**
 * In place, subgraphs included; functions that nothing calls any more are removed.
 * @returns whether a call was inlined
 * @throws TritforgeError MODEL_TOO_MANY_NODES or MODEL_TOO_DEEP
 */
export function inlineFunctions(model: Model, limits: InlineLimits = DEFAULT_INLINE_LIMITS): boolean {
  if (model.functions.length === 0) return false;
  const inliner = new Inliner(model, limits);
  model.graph.nodes = inliner.expand(model.graph.nodes, 0);
  if (inliner.inlined) dropUncalled(model);
  return inliner.inlined;
}

class Inliner {
  inlined = false;
  #nodeCount = 0;
  readonly #model: Model;
  readonly #limits: InlineLimits;
  readonly #names: NameAllocator;
  readonly #functions: ReadonlyMap<string, FunctionDefinition>;

  constructor(model: Model, limits: InlineLimits) {
    this.#model = model;
    this.#limits = limits;
    this.#names = new NameAllocator(model);
    this.#functions = new Map(model.functions.map((definition) => [keyOf(definition), definition]));
  }

  expand(nodes: readonly Node[], depth: number): Node[] {
    if (depth > this.#limits.maxDepth) {
      throw new TritforgeError('MODEL_TOO_DEEP', `Functions call each other more than ${this.#limits.maxDepth} deep`);
    }
    return nodes.flatMap((node) => {
      this.#nodeCount++;
      if (this.#nodeCount > this.#limits.maxNodes) {
        throw new TritforgeError('MODEL_TOO_MANY_NODES', `The model has more than ${this.#limits.maxNodes} nodes`, {
          node: node.name,
        });
      }
      for (const [name, attribute] of node.attributes) {
        if (attribute.kind === 'graph') attribute.value.nodes = this.expand(attribute.value.nodes, depth + 1);
        else if (attribute.kind === 'graphs') {
          for (const graph of attribute.value) graph.nodes = this.expand(graph.nodes, depth + 1);
        }
        node.attributes.set(name, attribute);
      }
      const definition = this.#functions.get(keyOf({ ...node, name: node.opType }));
      if (definition === undefined || !this.#canInline(node, definition)) return [node];
      this.inlined = true;
      return this.expand(this.#body(node, definition), depth + 1);
    });
  }

  #canInline(call: Node, definition: FunctionDefinition): boolean {
    for (const [domain, version] of definition.opsetImports) {
      const own = this.#model.opsetImports.get(domain);
      if (own !== undefined && own !== version) return false;
    }
    return definition.nodes.every((node) => refsOf(node).every((name) => call.attributes.has(name)));
  }

  /** The function's nodes with the call's values and attributes in place of its parameters. */
  #body(call: Node, definition: FunctionDefinition): Node[] {
    for (const [domain, version] of definition.opsetImports) this.#model.opsetImports.set(domain, version);
    const values = new Map<string, string>([['', '']]);
    definition.outputs.forEach((name, i) => {
      const target = call.outputs[i] ?? '';
      values.set(name, target === '' ? this.#names.value(`${call.name}_${name}`) : target);
    });
    for (const [i, name] of definition.inputs.entries()) values.set(name, call.inputs[i] ?? '');
    const passedThrough = definition.outputs.filter((name) => definition.inputs.includes(name));
    const nodes = this.#copyNodes(definition.nodes, call, values);
    for (const name of passedThrough) {
      const source = call.inputs[definition.inputs.indexOf(name)] ?? '';
      const target = call.outputs[definition.outputs.indexOf(name)] ?? '';
      if (target !== '') {
        nodes.push({
          name: this.#names.node(call.name),
          opType: 'Identity',
          domain: '',
          inputs: [source],
          outputs: [target],
          attributes: new Map(),
        });
      }
    }
    return nodes;
  }

  #copyNodes(nodes: readonly Node[], call: Node, outer: ReadonlyMap<string, string>): Node[] {
    const values = new Map(outer);
    for (const output of nodes.flatMap((node) => node.outputs)) {
      if (!values.has(output)) values.set(output, this.#names.value(`${call.name}_${output}`));
    }
    const rename = (name: string) => values.get(name) ?? name;
    return nodes.map((node) => ({
      ...node,
      name: this.#names.node(`${call.name}/${node.name}`),
      inputs: node.inputs.map(rename),
      outputs: node.outputs.map(rename),
      attributes: new Map([...node.attributes].map(([name, value]) => [name, this.#resolve(value, call, values)])),
    }));
  }

  #resolve(attribute: Attribute, call: Node, values: ReadonlyMap<string, string>): Attribute {
    if (attribute.kind === 'ref') return call.attributes.get(attribute.value)!;
    if (attribute.kind === 'graph') return { kind: 'graph', value: this.#copyGraph(attribute.value, call, values) };
    if (attribute.kind === 'graphs') {
      return { kind: 'graphs', value: attribute.value.map((graph) => this.#copyGraph(graph, call, values)) };
    }
    return attribute;
  }

  #copyGraph(graph: Graph, call: Node, outer: ReadonlyMap<string, string>): Graph {
    const values = new Map(outer);
    const own = [...graph.inputs.map((input) => input.name), ...graph.initializers.keys()];
    for (const name of own) values.set(name, this.#names.value(`${call.name}_${name}`));
    const inner = graph.nodes.flatMap((node) => node.outputs).filter((name) => name !== '');
    for (const name of inner) values.set(name, this.#names.value(`${call.name}_${name}`));
    const rename = (name: string) => values.get(name) ?? name;
    return {
      ...graph,
      nodes: this.#copyNodes(graph.nodes, call, values),
      inputs: graph.inputs.map((value) => ({ ...value, name: rename(value.name) })),
      outputs: graph.outputs.map((value) => ({ ...value, name: rename(value.name) })),
      initializers: new Map([...graph.initializers].map(([name, tensor]) => [rename(name), tensor])),
      valueInfo: new Map(),
    };
  }
}

function refsOf(node: Node): string[] {
  return [...node.attributes.values()].flatMap((attribute) => {
    if (attribute.kind === 'ref') return [attribute.value];
    const graphs = attribute.kind === 'graph' ? [attribute.value] : attribute.kind === 'graphs' ? attribute.value : [];
    return graphs.flatMap((graph) => graph.nodes.flatMap(refsOf));
  });
}

function keyOf(callee: { readonly domain: string; readonly name: string; readonly overload?: string }): string {
  return JSON.stringify([callee.domain, callee.name, callee.overload ?? '']);
}

/** Removes functions that neither the graph nor a remaining function calls. */
function dropUncalled(model: Model): void {
  for (let before = -1; before !== model.functions.length; ) {
    before = model.functions.length;
    const called = new Set<string>();
    walkGraphs(model, ({ nodes, function: definition }) => {
      for (const node of nodes) {
        const key = keyOf({ ...node, name: node.opType });
        if (definition === null || keyOf(definition) !== key) called.add(key);
      }
    });
    model.functions = model.functions.filter((definition) => called.has(keyOf(definition)));
  }
}
