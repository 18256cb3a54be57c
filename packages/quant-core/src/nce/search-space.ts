/**
 * What is searched: the network with its shortcuts as layers, the widths that may be chosen, and the reason for each that may not.
 */
import { isFloat, type Model, NameAllocator, type Node, tensorFromFloats } from '../ir/index.js';
import type { PlannedLayer } from '../layers/layer.js';
import { deriveNetwork } from './derive.js';
import { isFree, type WidthGraph, widthGraph } from './widths/width-graph.js';
import type { Reason, Width, WidthId } from './widths/width-table.js';

export interface SearchSpace {
  /** Computes what the original does; its shortcuts of empty channels are convolutions, and all convolutions have biases of their own. */
  readonly template: Model;
  /** Of the template. */
  readonly graph: WidthGraph;
}

/** A width, and why it stays as it is. */
export interface FixedWidth {
  readonly width: Width;
  readonly reasons: readonly Reason[];
}

/** @param prepared stays as it is */
export async function searchSpace(prepared: Model): Promise<SearchSpace> {
  const graph = await widthGraph(prepared);
  const template = withBiases(await deriveNetwork(prepared, graph, new Map(), 'all'));
  return { template, graph: await widthGraph(template) };
}

/**
 * Which widths the search can choose: those that are free, and made by convolutions that are quantized and normalized in training.
 * @param planned the layers of the template
 */
export function searchableWidths(
  { graph }: Pick<SearchSpace, 'graph'>,
  planned: readonly PlannedLayer[],
): { searched: WidthId[]; fixed: FixedWidth[] } {
  const searched: WidthId[] = [];
  const fixed: FixedWidth[] = [];
  const further = constantsBesideLayers(graph, planned);
  for (const width of graph.widths) {
    const reasons = isFree(width)
      ? [...obstacles(width, graph, planned), ...(further.get(width.id) ?? [])]
      : width.pins;
    if (width.layers.length === 0) continue;
    if (reasons.length === 0) searched.push(width.id);
    else fixed.push({ width, reasons });
  }
  return { searched, fixed };
}

/** By the name of its node, the searched width that a layer makes or passes on. */
export function widthsOfLayers(graph: WidthGraph, searched: readonly WidthId[]): Map<string, WidthId> {
  return new Map(searched.flatMap((id) => layersOf(graph.widthOf(id), graph).map((name) => [name, id] as const)));
}

/** Those that make channels, and those that filter each for itself. */
function layersOf({ id, layers }: Width, graph: WidthGraph): string[] {
  const filters = graph.depthwise.filter(({ segments }) =>
    segments.some(({ width }) => graph.widthOf(width).id === id),
  );
  return [...layers, ...filters.map(({ node }) => node.name)];
}

function obstacles(width: Width, graph: WidthGraph, planned: readonly PlannedLayer[]): Reason[] {
  const last = planned.findLast(({ layer }) => !layer.isTable);
  const joined = graph.depthwise.filter(({ segments }) => segments.length > 1).map(({ node }) => node.name);
  return layersOf(width, graph).flatMap((name): Reason[] => {
    const own = planned.find(({ layer }) => layer.node.name === name);
    const why = joined.includes(name)
      ? 'filters the channels of several layers'
      : own === undefined
        ? 'is no layer that is quantized'
        : obstacle(own, own === last, planned);
    return why === null ? [] : [{ node: name, why }];
  });
}

function obstacle({ layer, applied }: PlannedLayer, isLast: boolean, planned: readonly PlannedLayer[]): string | null {
  if (layer.node.opType !== 'Conv')
    return `is a ${layer.node.opType}, and convolutions alone are normalized by the batch`;
  if (applied.bits === null) return 'is kept as it is by the recipe';
  if (isLast) return 'is the last layer';
  const isShared = planned.filter((other) => other.layer.weight === layer.weight).length > 1;
  return isShared ? 'shares its weight' : null;
}

/** Constants that would put something into channels that a candidate does not have. */
function constantsBesideLayers(graph: WidthGraph, planned: readonly PlannedLayer[]): Map<WidthId, Reason[]> {
  const ofLayers = new Set(planned.flatMap(({ layer }) => layer.node.inputs));
  const found = new Map<WidthId, Reason[]>();
  for (const [name, layout] of graph.tensors) {
    if (ofLayers.has(name)) continue;
    for (const axis of layout)
      for (const { width } of axis?.segments ?? []) {
        const { id } = graph.widthOf(width);
        found.set(id, [
          ...(found.get(id) ?? []),
          { node: name, why: 'is a constant for each channel beside the layers' },
        ]);
      }
  }
  return found;
}

/**
 * Zeros for convolutions without a bias, as normalizations leave one behind, and a copy for each that shares one: what a file stores once,
 * such as zeros, ties no widths.
 */
function withBiases(model: Model): Model {
  const names = new NameAllocator(model);
  const initializers = new Map(model.graph.initializers);
  const taken = new Set<string>();
  const nodes = model.graph.nodes.map((node): Node => {
    const [, weight = '', bias = ''] = node.inputs;
    const own = initializers.get(weight);
    if (node.opType !== 'Conv' || node.domain !== '' || own === undefined || !isFloat(own.dtype)) return node;
    const shared = initializers.get(bias);
    if (bias !== '' && (shared === undefined || !taken.has(bias))) {
      taken.add(bias);
      return node;
    }
    const name = names.value(`${node.outputs[0]}_bias`);
    // A tensor of its own: trainings know biases by it.
    initializers.set(name, shared ? { ...shared } : tensorFromFloats([own.shape[0]!], new Float32Array(own.shape[0]!)));
    return { ...node, inputs: [...node.inputs.slice(0, 2), name] };
  });
  return { ...model, graph: { ...model.graph, nodes, initializers } };
}
