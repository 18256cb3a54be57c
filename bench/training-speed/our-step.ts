import { join } from 'node:path';
import { acceleratedRuntime, createOnnxRuntime } from '@tritforge/quant-core';
import { elementCount, readFloats } from '@tritforge/quant-core/ir';
import { readModel, writeModel } from '@tritforge/quant-core/onnx';
import { buildTrainingGraph, crossEntropy, Optimiser } from '@tritforge/quant-core/train';
import { normalNumbers } from '../large-model/generate-model.js';
import type { TrainedNetwork } from './networks.js';
import { readyToTrain } from './ready-to-train.js';

/** What a step took, by the clock and of the process, and the loss before the update. */
export interface Step {
  readonly milliseconds: number;
  readonly cpuMilliseconds: number;
  readonly loss: number;
}

/** What makes steps of one network. */
export interface Stepper {
  step(): Promise<Step>;
  close(): Promise<void>;
}

const LABELS = 'labels';
const SEED = 4;
const RATE = 1e-3;
const OPTIMISER = { kind: 'sgd', momentum: 0.9, nesterov: false } as const;

export interface OurOptions {
  readonly batchStatistics: boolean;
  /** Whether with our operators; the graph is of standard ones otherwise. */
  readonly native: boolean;
  /** An existing folder. */
  readonly folder: string;
}

/** Our training graph in onnxruntime on one thread, and our optimiser. */
export async function ourStepper(network: TrainedNetwork, options: OurOptions): Promise<Stepper> {
  const { batchStatistics, native, folder } = options;
  const runtime = native ? acceleratedRuntime() : createOnnxRuntime();
  if (runtime === null) throw new Error('The native kernels were not built.');
  const model = readyToTrain(await readModel(network.modelPath), batchStatistics);
  const { initializers } = model.graph;
  const statistics = new Set(
    model.graph.nodes.flatMap(({ opType, inputs }) => (opType === 'BatchNormalization' ? inputs.slice(3) : [])),
  );
  const trained = [...initializers].flatMap(([name, { dtype }]) =>
    dtype === 'float32' && !statistics.has(name) ? [name] : [],
  );
  const labelShape = [network.batch, network.classes];
  const graph = await buildTrainingGraph(model, {
    parameters: trained,
    targets: [{ name: LABELS, dtype: 'float32', shape: labelShape }],
    symbols: new Map(),
    native,
    addLoss: (b) => crossEntropy(b, network.scores, LABELS),
  });
  const path = join(folder, `training-${native ? 'native' : 'standard'}.onnx`);
  await writeModel(graph.model, path);
  const session = await runtime.load(path, { threads: 1, optimization: 'all' });
  const length = graph.parameters.reduce((sum, parameter) => sum + parameter.length, 0);
  const parameters = new Float32Array(length);
  for (const { name, offset } of graph.parameters) parameters.set(await readFloats(initializers.get(name)!), offset);
  const optimiser = new Optimiser(OPTIMISER, [{ begin: 0, end: length, rate: 1, decay: 0 }], length);
  const random = normalNumbers(SEED);
  const shape = [network.batch, ...network.image];
  const images = Float32Array.from({ length: elementCount(shape) }, () => random());
  const labels = Float32Array.from({ length: elementCount(labelShape) }, (_, i) =>
    i % network.classes === Math.floor(i / network.classes) % network.classes ? 1 : 0,
  );
  const feeds = new Map([
    [network.input, { dtype: 'float32' as const, shape, data: images }],
    [LABELS, { dtype: 'float32' as const, shape: labelShape, data: labels }],
    [graph.parameterInput, { dtype: 'float32' as const, shape: [length], data: parameters }],
  ]);
  const target = { dtype: 'float32' as const, shape: [length], data: new Float32Array(length) };
  const into = new Map([[graph.gradientOutput, target]]);
  return {
    async step() {
      const [begin, cpuBegin] = [performance.now(), process.cpuUsage()];
      const results = await session.run(feeds, undefined, into);
      const gradient = results.get(graph.gradientOutput)!.data as Float32Array;
      optimiser.step(parameters, gradient, RATE);
      const milliseconds = performance.now() - begin;
      const { user, system } = process.cpuUsage(cpuBegin);
      return {
        milliseconds,
        cpuMilliseconds: (user + system) / 1e3,
        loss: (results.get(graph.lossOutput)!.data as Float32Array)[0]!,
      };
    },
    close: () => session.release(),
  };
}
