import type { TensorInfo } from '@tritforge/contracts';
import type { LayerSummary, ModelInspection } from '@tritforge/quant-core/process';
import { formatCount, formatShape } from '@tritforge/report-html/figures';
import { formatTable } from './table.js';

/** A model in words: facts, operators, then the layers that can be quantized. */
export function describeModel(model: ModelInspection): string {
  const parts = [formatTable(factRows(model), ['left', 'left']), operatorTable(model)];
  if (model.layers.length > 0) parts.push(layerTable(model.layers));
  return parts.join('\n');
}

function factRows(model: ModelInspection): string[][] {
  return [
    ['opset', `${model.opset} (IR version ${model.irVersion})`],
    ['producer', model.producer ?? '–'],
    ['parameters', formatCount(model.parameters)],
    ['multiply-accumulates', model.macs === null ? 'unknown' : `${formatCount(model.macs)} per sample`],
    ['nodes', formatCount(model.nodes)],
    ...model.inputs.map((input) => ['input', describeTensor(input)]),
    ...model.outputs.map((output) => ['output', describeTensor(output)]),
    ['quantizable layers', formatCount(model.quantizableLayers)],
  ];
}

function describeTensor({ name, dtype, shape }: TensorInfo): string {
  return `${name}: ${dtype}, ${formatShape(shape)}`;
}

function operatorTable({ operators }: ModelInspection): string {
  const rows = Object.entries(operators).sort(([nameA, a], [nameB, b]) => b - a || (nameA < nameB ? -1 : 1));
  return formatTable(
    [['operator', 'nodes'], ...rows.map(([name, count]) => [name, formatCount(count)])],
    ['left', 'right'],
  );
}

function layerTable(layers: readonly LayerSummary[]): string {
  const rows = layers.map(({ node, op, shape, parameters, depthwise, groups, inSubgraph }) => [
    node,
    op,
    formatShape(shape),
    formatCount(parameters),
    [
      ...(depthwise ? ['depthwise'] : groups > 1 ? [`${groups} groups`] : []),
      ...(inSubgraph ? ['inside control flow'] : []),
    ].join(', '),
  ]);
  return formatTable([['layer', 'op', 'weight', 'parameters', ''], ...rows], ['left', 'left', 'left', 'right', 'left']);
}
