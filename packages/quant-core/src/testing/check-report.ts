import assert from 'node:assert/strict';
import type { LayerReport, Report } from '@tritforge/contracts';
import { packedByteLength, unpack2 } from '../fgq/index.js';
import { elementCount, GraphIndex, type Model, type Node } from '../ir/index.js';
import { type ArtifactLayer, artifactLayers, constantsBehind } from './artifact-layers.js';

/**
 * Asserts that a report tells the truth about a portable artifact: each layer of the original is listed once, and what is
 * said to be applied is what the artifact's tensors hold.
 */
export async function checkReport(report: Report, original: Model, artifact: Model): Promise<void> {
  const listed = [...report.layers, ...report.kept.filter(({ node }) => !report.layers.some((l) => l.node === node))];
  const isLayer = ({ op }: { op: string }) => op === 'Conv' || op === 'Gemm' || op === 'MatMul';
  const index = new GraphIndex(original.graph);
  const isProductOfValues = ({ opType, inputs }: Node) =>
    opType === 'MatMul' && inputs.every((name) => constantsBehind(name, index) === null);
  assert.deepEqual(
    listed
      .filter(isLayer)
      .map(({ node }) => node)
      .sort(),
    original.graph.nodes
      .filter((node) => isLayer({ op: node.opType }) && !isProductOfValues(node))
      .map(({ name }) => name)
      .sort(),
    'layers of the report and of the model',
  );
  const held = await artifactLayers(artifact);
  for (const layer of report.layers) {
    const found = held.get(layer.node);
    assert.ok(found, `${layer.node} is not in the artifact`);
    assert.deepEqual(
      { ...describe(found, layer), activationBits: found.input === null ? null : Math.log2(found.input.maxCode + 1) },
      {
        bits: layer.applied.bits,
        planes: layer.applied.planes,
        activationBits: layer.applied.activationBits,
        bitsPerWeight: layer.bitsPerWeight,
        zeros: layer.zeros,
      },
      layer.node,
    );
  }
  for (const { verification } of report.artifacts) assert.equal(verification.passed, true);
}

/** What the stored tensors amount to, after checking that they have the sizes that the reported group size gives. */
function describe({ weight }: ArtifactLayer, layer: LayerReport) {
  if (weight.kind === 'float') return { bits: null, planes: null, bitsPerWeight: null, zeros: null };
  const count = elementCount(layer.shape!);
  const scaleBytes = weight.channelScales.byteLength;
  const bitsOf = (bytes: number) => (8 * bytes) / count;
  if (weight.kind === 'int8') {
    assert.equal(weight.values.length, count, layer.node);
    return { bits: 8, planes: null, bitsPerWeight: bitsOf(count + scaleBytes), zeros: null };
  }
  if (weight.kind === 'int2') {
    assert.equal(layer.applied.groupSize, null);
    assert.equal(weight.packedCodes.length, packedByteLength(count), layer.node);
    return { bits: 2, planes: null, bitsPerWeight: bitsOf(weight.packedCodes.length + scaleBytes), zeros: null };
  }
  const { channelScales } = weight;
  const isInt4 = weight.kind === 'int4';
  const planes = weight.residual === null ? [weight] : [weight, weight.residual];
  const channels = channelScales.length;
  const taps = layer.op === 'Conv' ? elementCount(layer.shape!.slice(2)) : 1;
  const groups = Math.ceil(count / channels / taps / layer.applied.groupSize!);
  let [bytes, zeros] = [scaleBytes, 0];
  for (const { packedCodes, groupCodes } of planes) {
    assert.equal(packedCodes.length, isInt4 ? Math.ceil(count / 2) : packedByteLength(count), layer.node);
    assert.equal(groupCodes.length, channels * groups * taps, layer.node);
    bytes += packedCodes.length + groupCodes.length;
    if (!isInt4) zeros += unpack2(packedCodes, count).filter((code) => code === 0).length;
  }
  if (isInt4) return { bits: 4, planes: null, bitsPerWeight: bitsOf(bytes), zeros: null };
  return { bits: 2, planes: planes.length, bitsPerWeight: bitsOf(bytes), zeros: zeros / (count * planes.length) };
}
