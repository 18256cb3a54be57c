/** Entry of the engine's own process: one handler per kind of task. Each loads only what it needs. */
import { type EngineTask, preprocessOf } from './engine-task.js';
import { serveTask } from './serve-task.js';

serveTask<EngineTask>({
  async inspectModel({ modelPath }) {
    const { inspectModel } = await import('../inspect.js');
    return inspectModel(modelPath);
  },

  async inspectDataset({ dataset }, { scratchDir }) {
    const { inspectDataset } = await import('../data/index.js');
    return inspectDataset(dataset.path, { preprocess: preprocessOf(dataset), scratchDir });
  },

  async checkDataset({ dataset, inputs }, { scratchDir }) {
    const { checkDataset, openDataset } = await import('../data/index.js');
    const opened = await openDataset(dataset.path, { preprocess: preprocessOf(dataset), scratchDir });
    checkDataset(inputs, opened.summary, preprocessOf(dataset));
  },

  async evaluate({ request }, { scratchDir, onProgress }) {
    const [{ openDataset }, { evaluateModel }, { createRuntime }] = await Promise.all([
      import('../data/index.js'),
      import('../evaluate/index.js'),
      import('../runtime/create-runtime.js'),
    ]);
    const { evaluation, engine = 'ort', ...rest } = request;
    return evaluateModel({
      ...rest,
      dataset: await openDataset(evaluation.path, { preprocess: preprocessOf(evaluation), scratchDir }),
      runtime: createRuntime(engine),
      onProgress: (done, total) => onProgress({ phase: 'measure', done, total, unit: 'samples', etaSeconds: null }),
    });
  },

  async quantize({ request }, { scratchDir, onProgress, settle }) {
    const [{ quantize }, { acceleratedRuntime, createRuntime }] = await Promise.all([
      import('../quantize.js'),
      import('../runtime/create-runtime.js'),
    ]);
    const context = { runtime: createRuntime('ort'), accelerated: acceleratedRuntime(), onProgress, settle };
    return quantize({ ...request, scratchDir }, context);
  },
});
