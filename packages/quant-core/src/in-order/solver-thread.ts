/** A thread that solves parts of layers, one after the other: see solver-threads.ts. */
import { parentPort } from 'node:worker_threads';
import { TritforgeError } from '@tritforge/contracts';
import { type GroupProblem, solveGroup } from './solve-channels.js';
import type { SolverAnswer } from './solver-messages.js';

parentPort!.on('message', (problem: GroupProblem) => parentPort!.postMessage(answer(problem)));

function answer(problem: GroupProblem): SolverAnswer {
  try {
    return { solved: solveGroup(problem) };
  } catch (error) {
    return error instanceof TritforgeError ? { known: error.toJSON() } : { error };
  }
}
