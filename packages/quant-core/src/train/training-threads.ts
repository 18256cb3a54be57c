/**
 * Data-parallel threads: a batch is cut into equal parts, each thread computes the gradient of its part with one onnxruntime
 * thread, and gradients are added in the order of the threads. So a number of threads gives the same bits in every run.
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { TritforgeError } from '@tritforge/contracts';
import { throwIfCanceled } from '../cancellation.js';
import type { ThreadAnswer, ThreadSetup, ThreadTask } from './messages.js';

const ENTRY = new URL('./training-thread.js', import.meta.url);

export class TrainingThreads {
  /** Parameters that all threads see; write them between two batches. */
  readonly parameters: Float32Array;
  /** Mean gradient of the last batch. */
  readonly gradient: Float32Array;
  readonly #parts: Float32Array[];
  readonly #workers: Worker[];

  /** @param length of the vector of parameters */
  constructor(setup: Omit<ThreadSetup, 'parameters' | 'gradient'>, count: number, length: number) {
    const shared = () => new SharedArrayBuffer(4 * length);
    const parameters = shared();
    const gradients = Array.from({ length: count }, shared);
    this.parameters = new Float32Array(parameters);
    this.gradient = new Float32Array(length);
    this.#parts = gradients.map((buffer) => new Float32Array(buffer));
    this.#workers = gradients.map((gradient) => {
      const workerData: ThreadSetup = { ...setup, parameters, gradient };
      return new Worker(ENTRY, { workerData });
    });
  }

  get count(): number {
    return this.#workers.length;
  }

  /**
   * The mean loss of a batch; its gradient is in {@link gradient} afterwards.
   * @param parts records of each thread, equally many
   */
  async step(parts: readonly (readonly number[])[], seed: number, signal?: AbortSignal): Promise<number> {
    const losses = await this.#all(
      parts.map((records, i) => ({ records, seed: seed + i })),
      signal,
    );
    this.gradient.fill(0);
    for (const part of this.#parts)
      for (let i = 0; i < part.length; i++) this.gradient[i]! += part[i]! / this.#parts.length;
    return mean(losses);
  }

  /** The mean loss of batches without an update, each as large as a thread's part. */
  async evaluate(batches: readonly (readonly number[])[], signal?: AbortSignal): Promise<number> {
    const losses: number[] = [];
    for (let i = 0; i < batches.length; i += this.count)
      losses.push(
        ...(await this.#all(
          batches.slice(i, i + this.count).map((records) => ({ records, seed: null })),
          signal,
        )),
      );
    return mean(losses);
  }

  /** Lets the threads finish what they are at: onnxruntime ends the process when a thread is stopped within a run. */
  async close(): Promise<void> {
    const ended = this.#workers.map((worker) => (worker.threadId < 0 ? null : once(worker, 'exit')));
    for (const worker of this.#workers) worker.postMessage(null);
    await Promise.all(ended);
  }

  #all(tasks: readonly ThreadTask[], signal: AbortSignal | undefined): Promise<number[]> {
    throwIfCanceled(signal);
    return Promise.all(tasks.map((task, i) => runTask(this.#workers[i]!, task)));
  }
}

function runTask(worker: Worker, task: ThreadTask): Promise<number> {
  return new Promise((resolve, reject) => {
    const settle = (answer: ThreadAnswer) => {
      worker.off('error', reject);
      if ('loss' in answer) resolve(answer.loss);
      else if ('error' in answer) reject(answer.error);
      else reject(TritforgeError.from(answer.known));
    };
    worker.once('message', settle);
    worker.once('error', reject);
    worker.postMessage(task);
  });
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / Math.max(values.length, 1);
}
