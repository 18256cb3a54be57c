/**
 * START HERE: brings models of opset 7 to 12 to opset 13, the first with per-channel DequantizeLinear.
 *
 * A rule per operator and opset in which it changed; operators that only gained types, negative axes or optional features
 * need none. Models of opset 13 and newer stay as they are.
 */
import { TritforgeError } from '@tritforge/contracts';
import { type Graph, inferShapes, type Model, NameAllocator, type Node, subgraphsOf } from '../../ir/index.js';
import { ATTRIBUTES_TO_INPUTS } from './attributes-to-inputs.js';
import { RESIZE } from './resize.js';
import type { RuleContext, UpgradeRule } from './rule.js';
import { SMALL_CHANGES } from './small-changes.js';
import { SOFTMAX } from './softmax.js';

/** The opset that quantized graphs start from. */
export const BASE_OPSET = 13;
const OLDEST_OPSET = 7;

/** IR version that goes with opset 13; initializers need not be inputs from 4 on. */
const BASE_IR_VERSION = 7;

const RULES: readonly UpgradeRule[] = [...ATTRIBUTES_TO_INPUTS, ...RESIZE, ...SMALL_CHANGES, ...SOFTMAX];

/**
 * In place, subgraphs included.
 * @returns whether the opset changed
 * @throws TritforgeError MODEL_UNSUPPORTED_OPSET naming the node that has no equivalent
 */
export async function upgradeOpset(model: Model): Promise<boolean> {
  const opset = model.opsetImports.get('') ?? BASE_OPSET;
  model.irVersion = Math.max(model.irVersion, BASE_IR_VERSION);
  model.opsetImports.set('', Math.max(opset, BASE_OPSET));
  if (opset >= BASE_OPSET) return false;
  if (opset < OLDEST_OPSET) {
    throw new TritforgeError(
      'MODEL_UNSUPPORTED_OPSET',
      `The model has opset ${opset}; ${OLDEST_OPSET} is the oldest that can be read`,
      {
        opset,
        remediation: 'Export the model with opset 13 or newer.',
      },
    );
  }
  const shapes = inferShapes(model);
  const shared = {
    names: new NameAllocator(model),
    opset,
    rankOf: (name: string) => shapes.get(name)?.shape?.length ?? null,
    dtypeOf: (name: string) => shapes.get(name)?.dtype ?? null,
  };
  await upgradeGraph(model.graph, shared, []);
  return true;
}

async function upgradeGraph(
  graph: Graph,
  shared: Omit<RuleContext, 'graph' | 'constantOf'>,
  outer: readonly Graph[],
): Promise<void> {
  const scopes = [graph, ...outer];
  const constantOf = (name: string) => scopes.find((scope) => scope.initializers.has(name))?.initializers.get(name);
  for (const node of [...graph.nodes]) {
    for (const subgraph of subgraphsOf(node)) await upgradeGraph(subgraph, shared, scopes);
    await upgradeNode(node, { ...shared, graph, constantOf });
  }
}

async function upgradeNode(node: Node, context: RuleContext): Promise<void> {
  for (let version = context.opset + 1; version <= BASE_OPSET; version++) {
    for (const rule of RULES) {
      if (node.domain === '' && rule.op === node.opType && rule.since === version) await rule.apply(node, context);
    }
  }
}
