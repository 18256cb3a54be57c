import { join } from 'node:path';
import { elementCount, type Model, tensorFromInt64 } from '@tritforge/quant-core/ir';
import { readModel, writeModel } from '@tritforge/quant-core/onnx';
import { upgradeOpset } from '@tritforge/quant-core/train';
import { findNetworks } from '../models/networks.js';

/** A network as both sides train it. */
export interface TrainedNetwork {
  readonly name: string;
  /** Read by the peer too. */
  readonly modelPath: string;
  readonly input: string;
  /** Of one image. */
  readonly image: readonly number[];
  readonly batch: number;
  /** The value that cross-entropy is computed from, and how many classes it has. */
  readonly scores: string;
  readonly classes: number;
}

const BATCHES: readonly (readonly [name: string, batch: number])[] = [
  ['ResNet-20', 64],
  ['ResNet-50', 8],
];

/** Those of the networks that are there. @param folder for files of models */
export async function trainedNetworks(folder: string, filter: string): Promise<TrainedNetwork[]> {
  const { networks, missing } = await findNetworks(folder);
  for (const reason of missing) process.stderr.write(`${reason}\n`);
  const found = networks.flatMap((network) => {
    const batch = BATCHES.find(([name]) => network.name.startsWith(name))?.[1];
    return batch === undefined || !network.name.includes(filter) ? [] : [{ ...network, batch }];
  });
  return Promise.all(
    found.map(async ({ name, modelPath, input, sample, batch }) => {
      const model = await readModel(modelPath);
      await upgradeOpset(model);
      giveBatch(model, input, batch);
      const path = join(folder, `${name.replace(/\W+/gu, '-')}-batch-${batch}.onnx`);
      await writeModel(model, path);
      const scores = scoresOf(model);
      const classes = model.graph.outputs[0]!.shape!.at(-1) as number;
      return { name, modelPath: path, input, image: sample, batch, scores, classes };
    }),
  );
}

/** What goes into the softmax at the end, or the output where there is none. */
function scoresOf({ graph }: Model): string {
  const last = graph.nodes.at(-1)!;
  return last.opType === 'Softmax' ? last.inputs[0]! : graph.outputs[0]!.name;
}

/** Fixes the batch of a network that may have been written for a batch of one. In place. */
function giveBatch({ graph }: Model, input: string, batch: number): void {
  graph.inputs = graph.inputs.map((value) =>
    value.name === input ? { ...value, shape: [batch, ...value.shape!.slice(1)] } : value,
  );
  graph.outputs = graph.outputs.map((value) => ({ ...value, shape: [batch, ...value.shape!.slice(1)] }));
  for (const { opType, inputs } of graph.nodes) {
    const shape = opType === 'Reshape' ? graph.initializers.get(inputs[1]!) : undefined;
    if (shape !== undefined && elementCount(shape.shape) === 2)
      graph.initializers.set(inputs[1]!, tensorFromInt64([2], [batch, -1]));
  }
}
