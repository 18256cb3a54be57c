import { join } from 'node:path';
import { withOutputs } from '../calibrate/observed-model.js';
import type { Model } from '../ir/index.js';
import { writeModel } from '../onnx/index.js';
import { MOMENTS, STATISTICS } from './batch-normalizer.js';
import type { LatentParameters } from './latent-parameters.js';
import type { Augmentation, VectorGraph } from './messages.js';
import type { PartGraph } from './part-graph.js';
import type { StoreSummary } from './sample-store.js';
import { TrainingThreads } from './training-threads.js';
import type { NormalizedGraphs, TuningGraphs } from './tuning-graphs.js';

/** What threads compute; those who do not judge have no graph for it. */
type ThreadGraphs = Pick<TuningGraphs, 'training' | 'teacher' | 'run'> & {
  readonly judging: PartGraph | null;
  readonly normalized: Pick<NormalizedGraphs, 'moments' | 'statistics'> | null;
};

/** Threads with the graphs of a fine-tuning, which are files in the folder until it is removed. */
export async function openTuningThreads(
  { training, judging, teacher, normalized, run }: ThreadGraphs,
  store: StoreSummary,
  latent: Pick<LatentParameters, 'weights' | 'length'>,
  {
    scratchDir,
    threads,
    augmentation,
  }: { readonly scratchDir: string; readonly threads: number; readonly augmentation: Augmentation | null },
): Promise<TrainingThreads> {
  const write = async (name: string, graph: Model) => {
    const path = join(scratchDir, `${name}.onnx`);
    await writeModel(graph, path);
    return path;
  };
  const part = async (name: string, { model, output, parameterInput }: PartGraph): Promise<VectorGraph> => ({
    path: await write(name, model),
    output,
    parameters: parameterInput,
  });
  const vectorGraphs = new Map<string, VectorGraph>();
  if (normalized !== null) {
    vectorGraphs.set(MOMENTS, await part(MOMENTS, normalized.moments));
    vectorGraphs.set(STATISTICS, await part(STATISTICS, normalized.statistics));
  }
  const { model, parameterInput, lossOutput, gradientOutput, targets } = training;
  return new TrainingThreads(
    {
      trainingGraph: await write('training', model),
      lossGraph: judging && (await part('loss', judging)),
      vectorGraphs,
      teacher: { path: await write('teacher', withOutputs(teacher, [...targets.keys()])), targets },
      store,
      recordsPerRun: run.records,
      latentWeights: latent.weights,
      names: { parameters: parameterInput, loss: lossOutput, gradient: gradientOutput },
      augmentation,
    },
    threads,
    latent.length,
  );
}
