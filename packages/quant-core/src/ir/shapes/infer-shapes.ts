import type { Attribute } from '../attribute.js';
import { graphAttribute, subgraphsOf } from '../attribute-access.js';
import type { Dimension, FunctionDefinition, Graph, Model, Node, ValueInfo } from '../graph.js';
import { mergeShapes, type Shape, sizeOrUnknown } from './dimensions.js';
import { inferTensor } from './generation.js';
import { type Inferred, inferred, MAX_TRACKED_INTS, type RuleInput, UNKNOWN } from './rule.js';
import { SHAPE_RULES } from './rules.js';

/** Node visits after which the rest stays unknown; function calls visit their body each time. */
const MAX_VISITS = 2_000_000;
/** Functions and subgraphs within each other beyond which values stay unknown. */
const MAX_DEPTH = 64;
/** No real tensor has more dimensions. */
const MAX_RANK = 64;

/** What static inference knows of the values of a model. */
export interface InferredShapes {
  /**
   * The value's type. With a graph, the value as that graph sees it, values of enclosing graphs included; without, the
   * first value of that name, the main graph before subgraphs. Values inside functions are not kept.
   */
  get(name: string, graph?: Graph): ValueInfo | undefined;
}

export interface InferenceOptions {
  /** Sizes for symbolic dimensions of the graph inputs by name. */
  readonly symbols?: ReadonlyMap<string, number>;
  /** Told of every value that a node computes, inside functions and subgraphs too. */
  readonly onValue?: (name: string, node: Node, value: Inferred) => void;
}

/**
 * Infers element types and shapes without running the model, following small integer tensors through shape arithmetic.
 * What the file declares fills the gaps. Unknown stays null; nothing is thrown, whatever the graph says.
 *
 * @example inferShapes(model, { symbols: new Map([['N', 1]]) }).get('conv1_out')?.shape // [1, 16, 32, 32]
 */
export function inferShapes(model: Model, options: InferenceOptions = {}): InferredShapes {
  return new Inference(model, options).run();
}

/** Values by name, looked up outwards through enclosing graphs. */
interface Scope {
  readonly values: Map<string, Inferred>;
  readonly parent: Scope | null;
  /** Attributes of the enclosing function call. */
  readonly attributes: ReadonlyMap<string, Attribute> | null;
  readonly opsets: ReadonlyMap<string, number>;
  readonly depth: number;
}

class Inference implements InferredShapes {
  readonly #model: Model;
  readonly #options: InferenceOptions;
  readonly #functions: ReadonlyMap<string, FunctionDefinition>;
  readonly #scopes = new Map<Graph, Scope>();
  readonly #first = new Map<string, Inferred>();
  #visits = 0;

  constructor(model: Model, options: InferenceOptions) {
    this.#model = model;
    this.#options = options;
    this.#functions = new Map(model.functions.map((f) => [functionKey(f.domain, f.name, f.overload), f]));
  }

  run(): InferredShapes {
    const { graph, opsetImports } = this.#model;
    const scope = this.#open(graph, null, { attributes: null, opsets: opsetImports, depth: 0 });
    for (const input of graph.inputs) {
      if (!graph.initializers.has(input.name)) scope.values.set(input.name, this.#bind(input));
    }
    this.#nodes(graph.nodes, graph, scope);
    return this;
  }

  get(name: string, graph?: Graph): ValueInfo | undefined {
    let found = graph === undefined ? this.#first.get(name) : undefined;
    for (let scope = graph && this.#scopes.get(graph); scope && !found; scope = scope.parent ?? undefined) {
      found = scope.values.get(name);
    }
    return found && { name, dtype: found.dtype, shape: found.shape };
  }

  #open(graph: Graph, parent: Scope | null, context: Pick<Scope, 'attributes' | 'opsets' | 'depth'>): Scope {
    const scope: Scope = { values: new Map(), parent, ...context };
    // Kept for look-ups; inside functions the same graph has other values at each call.
    if (context.attributes === null) this.#scopes.set(graph, scope);
    for (const [name, tensor] of graph.initializers) this.#define(scope, name, inferTensor(tensor));
    return scope;
  }

  /** Replaces symbolic sizes of a graph input that the caller has fixed. */
  #bind(input: ValueInfo): Inferred {
    const shape =
      input.shape?.map((size) => (typeof size === 'string' ? (this.#options.symbols?.get(size) ?? size) : size)) ??
      null;
    const value = inferred(input.dtype, shape);
    this.#first.set(input.name, value);
    return value;
  }

  #define(scope: Scope, name: string, value: Inferred): void {
    scope.values.set(name, value);
    if (scope.attributes === null && !this.#first.has(name)) this.#first.set(name, value);
  }

  #nodes(nodes: readonly Node[], graph: Graph | null, scope: Scope): void {
    const declared = new Map<string, ValueInfo>(graph?.valueInfo);
    for (const output of graph?.outputs ?? []) declared.set(output.name, output);
    for (const node of nodes) {
      if (++this.#visits > MAX_VISITS) return;
      const results = this.#node(resolveReferences(node, scope.attributes), scope);
      node.outputs.forEach((name, index) => {
        if (name === '') return;
        const value = settle(results[index] ?? UNKNOWN, declared.get(name));
        this.#define(scope, name, value);
        this.#options.onValue?.(name, node, value);
      });
    }
  }

  #node(node: Node, scope: Scope): readonly Inferred[] {
    const definition = this.#functions.get(functionKey(node.domain, node.opType, node.overload ?? ''));
    if (definition !== undefined) return this.#call(definition, node, scope);
    if (subgraphsOf(node).length > 0) return this.#control(node, scope);
    const rule = node.domain === '' || node.domain === 'com.microsoft' ? SHAPE_RULES.get(node.opType) : undefined;
    return rule?.(ruleInput(node, scope)) ?? [];
  }

  #call(definition: FunctionDefinition, node: Node, caller: Scope): readonly Inferred[] {
    if (caller.depth >= MAX_DEPTH) return [];
    const scope: Scope = {
      values: new Map(definition.inputs.map((name, i) => [name, lookUp(caller, node.inputs[i] ?? '')])),
      parent: null,
      attributes: node.attributes,
      opsets: definition.opsetImports,
      depth: caller.depth + 1,
    };
    this.#nodes(definition.nodes, null, scope);
    return definition.outputs.map((name) => lookUp(scope, name));
  }

  /** If, Loop and Scan. Values that change from turn to turn keep their element type only. */
  #control(node: Node, scope: Scope): readonly Inferred[] {
    if (scope.depth >= MAX_DEPTH) return [];
    if (node.opType === 'If') {
      const branches = ['then_branch', 'else_branch'].map((name) => this.#body(graphAttribute(node, name), scope, []));
      return node.outputs.map((_, i) => common(branches[0]?.[i] ?? UNKNOWN, branches[1]?.[i] ?? UNKNOWN));
    }
    const carried = node.inputs.map((name) => inferred(lookUp(scope, name).dtype, null));
    for (const graph of subgraphsOf(node)) this.#body(graph, scope, node.opType === 'Loop' ? carried : []);
    return [];
  }

  #body(graph: Graph | undefined, parent: Scope, inputs: readonly Inferred[]): readonly Inferred[] {
    if (graph === undefined) return [];
    const { attributes, opsets } = parent;
    const scope = this.#open(graph, parent, { attributes, opsets, depth: parent.depth + 1 });
    graph.inputs.forEach((input, index) => {
      const given = inputs[index] ?? UNKNOWN;
      this.#define(scope, input.name, settle(given, input));
    });
    this.#nodes(graph.nodes, graph, scope);
    return graph.outputs.map((output) => settle(lookUp(scope, output.name), output));
  }
}

function functionKey(domain: string, name: string, overload: string): string {
  return JSON.stringify([domain, name, overload]);
}

function lookUp(scope: Scope, name: string): Inferred {
  for (let at: Scope | null = scope; at !== null; at = at.parent) {
    const value = at.values.get(name);
    if (value !== undefined) return value;
  }
  return UNKNOWN;
}

function ruleInput(node: Node, scope: Scope): RuleInput {
  return {
    node,
    opset: scope.opsets.get(node.domain) ?? 0,
    input: (index) => lookUp(scope, node.inputs[index] ?? ''),
    hasInput: (index) => (node.inputs[index] ?? '') !== '',
  };
}

/** The node with attributes of the enclosing function call in place of references to them. */
function resolveReferences(node: Node, attributes: ReadonlyMap<string, Attribute> | null): Node {
  if (attributes === null || ![...node.attributes.values()].some((attribute) => attribute.kind === 'ref')) return node;
  const resolved = new Map<string, Attribute>();
  for (const [name, attribute] of node.attributes) {
    const value = attribute.kind === 'ref' ? attributes.get(attribute.value) : attribute;
    if (value !== undefined) resolved.set(name, value);
  }
  return { ...node, attributes: resolved };
}

/** Drops what makes no sense and adds what the file declares. */
function settle(value: Inferred, declared: ValueInfo | undefined): Inferred {
  const sane = (shape: Shape | null): Dimension[] | null =>
    shape === null || shape.length > MAX_RANK ? null : shape.map(sizeOrUnknown);
  const dtype = value.dtype === 'undefined' ? (declared?.dtype ?? 'undefined') : value.dtype;
  const ints = value.ints !== null && value.ints.length <= MAX_TRACKED_INTS ? value.ints : null;
  const shape = mergeShapes(sane(value.shape), sane(declared?.shape ?? null));
  return { ...value, dtype, shape, ints };
}

/** What holds whichever branch runs. */
function common(a: Inferred, b: Inferred): Inferred {
  const sameRank = a.shape !== null && b.shape !== null && a.shape.length === b.shape.length;
  const shape = sameRank ? a.shape!.map((size, axis) => (size === b.shape![axis] ? size : null)) : null;
  return inferred(a.dtype === b.dtype ? a.dtype : 'undefined', shape);
}
