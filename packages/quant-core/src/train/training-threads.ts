/**
 * Data-parallel threads: a batch is cut into equal parts, each thread computes the gradient of its part with one onnxruntime
 * thread, and gradients are added in the order of the threads. So a number of threads gives the same bits in every run.
 */
import { Worker } from 'node:worker_threads';
import { TritforgeError } from '@tritforge/contracts';
import { throwIfCanceled } from '../cancellation.js';
import type { BiasValues, LatentWeight } from './latent-weight.js';
import type { ThreadAnswer, ThreadSetup, ThreadTask } from './messages.js';

const ENTRY = new URL('./training-thread.js', import.meta.url);

/** What training threads work with. */
export interface TrainingSetup extends Omit<ThreadSetup, 'parameters' | 'gradient' | 'latent'> {
  /** Weights that are quantized in training. */
  readonly latentWeights?: readonly LatentWeight[];
}

export class TrainingThreads {
  /** Parameters that all threads see; write them between two batches. */
  readonly parameters: Float32Array;
  /** What they are made from where they are quantized; as long as they are. */
  readonly latent: Float32Array;
  /** Mean gradient of the last batch. */
  readonly gradient: Float32Array;
  readonly #parts: Float32Array[];
  readonly #workers: Worker[];

  /**
   * @param length of the vector of parameters
   * @param trained how many of them, from the first on, have a gradient
   */
  constructor({ latentWeights, ...setup }: TrainingSetup, count: number, length: number, trained: number = length) {
    const shared = (elements: number) => new SharedArrayBuffer(4 * elements);
    const parameters = shared(length);
    const latent = { values: shared(latentWeights === undefined ? 0 : length), weights: latentWeights ?? [] };
    const gradients = Array.from({ length: count }, () => shared(trained));
    this.parameters = new Float32Array(parameters);
    this.latent = new Float32Array(latent.values);
    this.gradient = new Float32Array(trained);
    this.#parts = gradients.map((buffer) => new Float32Array(buffer));
    this.#workers = gradients.map((gradient) => {
      const workerData: ThreadSetup = { ...setup, parameters, gradient, latent };
      return new Worker(ENTRY, { workerData });
    });
    // A thread that dies between two batches is heard of by the next one that asks it.
    for (const worker of this.#workers) worker.on('error', () => {});
  }

  get count(): number {
    return this.#workers.length;
  }

  /**
   * The mean loss of a batch; its gradient is in {@link gradient} afterwards.
   * @param parts records of each thread, equally many
   */
  async step(parts: readonly (readonly number[])[], seed: number, signal?: AbortSignal): Promise<number> {
    const answers = await this.#all(
      parts.map((records, i) => ({ kind: 'gradient', records, seed: seed + i })),
      signal,
    );
    this.gradient.fill(0);
    for (const part of this.#parts)
      for (let i = 0; i < part.length; i++) this.gradient[i]! += part[i]! / this.#parts.length;
    return mean(answers.map(lossOf));
  }

  /**
   * Quantizes weights anew, from {@link latent} to {@link parameters}, which have biases and scales already.
   * @param shares positions of weights, for each thread
   * @param biases as they are to be afterwards
   */
  async project(
    shares: readonly (readonly number[])[],
    signal?: AbortSignal,
    biases: BiasValues = 'trained',
  ): Promise<void> {
    await this.#all(
      shares.map((weights) => ({ kind: 'project', weights, biases })),
      signal,
    );
  }

  /** The mean of {@link losses}. */
  async evaluate(batches: readonly (readonly number[])[], seed: number | null, signal?: AbortSignal): Promise<number> {
    return mean(await this.losses(batches, seed, signal));
  }

  /**
   * The loss of each batch without an update, each as large as a thread's part.
   * @param seed varies samples, the same way each time; null leaves them as they are
   */
  async losses(batches: readonly (readonly number[])[], seed: number | null, signal?: AbortSignal): Promise<number[]> {
    const losses: number[] = [];
    const tasks = batches.map(
      (records, i): ThreadTask => ({
        kind: 'loss',
        records,
        seed: seed === null ? null : seed + i,
      }),
    );
    for await (const answer of this.#inTurns(tasks, signal)) losses.push(lossOf(answer));
    return losses;
  }

  /** What a further graph computes of each batch, in the order of the batches. */
  async *vectors(
    graph: string,
    batches: readonly (readonly number[])[],
    signal?: AbortSignal,
  ): AsyncGenerator<Float32Array> {
    const tasks = batches.map((records): ThreadTask => ({ kind: 'vector', graph, records }));
    for await (const answer of this.#inTurns(tasks, signal)) yield vectorOf(answer);
  }

  /** Lets the threads finish what they are at: onnxruntime ends the process when a thread is stopped within a run. */
  async close(): Promise<void> {
    const ended = this.#workers.map(
      (worker) => worker.threadId < 0 || new Promise((resolve) => worker.once('exit', resolve)),
    );
    for (const worker of this.#workers) worker.postMessage(null);
    await Promise.all(ended);
  }

  /** As many tasks at a time as there are threads. */
  async *#inTurns(tasks: readonly ThreadTask[], signal: AbortSignal | undefined): AsyncGenerator<ThreadAnswer> {
    for (let i = 0; i < tasks.length; i += this.count) yield* await this.#all(tasks.slice(i, i + this.count), signal);
  }

  #all(tasks: readonly ThreadTask[], signal: AbortSignal | undefined): Promise<ThreadAnswer[]> {
    throwIfCanceled(signal);
    return Promise.all(tasks.map((task, i) => runTask(this.#workers[i]!, task)));
  }
}

function runTask(worker: Worker, task: ThreadTask): Promise<ThreadAnswer> {
  return new Promise((resolve, reject) => {
    const ended = () => reject(new Error('a training thread ended before it had answered'));
    const settle = (answer: ThreadAnswer) => {
      worker.off('error', reject);
      worker.off('exit', ended);
      if ('known' in answer) reject(TritforgeError.from(answer.known));
      else if ('error' in answer) reject(answer.error);
      else resolve(answer);
    };
    if (worker.threadId < 0) return ended();
    worker.once('message', settle);
    worker.once('error', reject);
    worker.once('exit', ended);
    worker.postMessage(task);
  });
}

function lossOf(answer: ThreadAnswer): number {
  if (!('loss' in answer)) throw new TypeError('a training thread answered without a loss');
  return answer.loss;
}

function vectorOf(answer: ThreadAnswer): Float32Array {
  if (!('vector' in answer)) throw new TypeError('a training thread answered without a vector');
  return answer.vector;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / Math.max(values.length, 1);
}
