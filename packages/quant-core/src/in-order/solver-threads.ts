/**
 * Threads that solve layers: output channels do not depend on each other, so a layer is cut into ranges of them. What all ranges
 * need lies in memory that the threads share. Results are the same bits whatever the number of threads.
 */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { TritforgeError } from '@tritforge/contracts';
import { throwIfCanceled } from '../cancellation.js';
import type { GroupProblem, SolvedLayer } from './solve-channels.js';
import type { SolverAnswer } from './solver-messages.js';

const FEWEST_WEIGHTS = 2 ** 15;
const ENTRY = new URL('./solver-thread.js', import.meta.url);

/** Makes a problem right before it is solved, so that not all of them lie in memory. */
export type SolverTask = () => GroupProblem;

/** A number of threads, started when they are first needed. They end with the process, or when they are closed. */
export class SolverThreads {
  /** How many tasks are solved at a time. */
  readonly count: number;
  /** Smaller layers are solved before threads would have started. */
  readonly fewestWeights: number;
  readonly #idle: Worker[] = [];
  readonly #all = new Set<Worker>();

  /** @param count as many as the processor runs at once when left out */
  constructor(count: number = availableParallelism(), fewestWeights: number = FEWEST_WEIGHTS) {
    this.count = count;
    this.fewestWeights = fewestWeights;
  }

  /**
   * Solves tasks side by side.
   * @returns the results in the order of the tasks
   * @throws what solving the first task that fails throws; TritforgeError CANCELED, which takes effect at once
   */
  async solve(tasks: readonly SolverTask[], signal?: AbortSignal): Promise<SolvedLayer[]> {
    throwIfCanceled(signal);
    const results: SolvedLayer[] = [];
    let next = 0;
    const work = async () => {
      while (next < tasks.length) {
        const index = next++;
        results[index] = await this.#solveOne(tasks[index]!);
      }
    };
    const stop = () => void this.close();
    signal?.addEventListener('abort', stop, { once: true });
    try {
      await Promise.all(Array.from({ length: Math.min(this.count, tasks.length) }, work));
    } catch (error) {
      await this.close();
      throwIfCanceled(signal);
      throw error;
    } finally {
      signal?.removeEventListener('abort', stop);
    }
    return results;
  }

  /** Ends all threads, and with them what they remember. More can be solved afterwards. */
  async close(): Promise<void> {
    const ended = [...this.#all].map((worker) => worker.terminate());
    this.#all.clear();
    this.#idle.length = 0;
    await Promise.all(ended);
  }

  async #solveOne(task: SolverTask): Promise<SolvedLayer> {
    const worker = this.#idle.pop() ?? this.#start();
    const answer = await answerOf(worker, task());
    // An ended one stays referenced until it has exited: nothing else may keep the process alive meanwhile.
    if (this.#all.has(worker)) this.#rest(worker);
    if ('solved' in answer) return answer.solved;
    if ('error' in answer) throw answer.error;
    throw TritforgeError.from(answer.known);
  }

  #start(): Worker {
    const worker = new Worker(ENTRY);
    this.#all.add(worker);
    return worker;
  }

  #rest(worker: Worker): void {
    worker.unref();
    this.#idle.push(worker);
  }
}

/** Keeps the process alive until the thread has answered. */
function answerOf(worker: Worker, problem: GroupProblem): Promise<SolverAnswer> {
  return new Promise<SolverAnswer>((resolve, reject) => {
    const onExit = () => reject(new Error('a thread that solves layers has ended'));
    const settle = () => {
      worker.off('message', onMessage).off('error', onError).off('exit', onExit);
    };
    const onMessage = (answer: SolverAnswer) => {
      settle();
      resolve(answer);
    };
    const onError = (error: Error) => {
      settle();
      reject(error);
    };
    worker.on('message', onMessage).on('error', onError).on('exit', onExit);
    worker.ref();
    worker.postMessage(problem);
  });
}
