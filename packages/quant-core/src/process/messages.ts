import type { SerializedError } from '@tritforge/contracts';
import type { TaskProgress } from './engine-task.js';

/** What the host sends, once: the work. */
export interface Assignment<Task> {
  readonly task: Task;
  /** An empty folder that the host removes when the process has ended. */
  readonly scratchDir: string;
}

/** What the host may send afterwards, once: the task is to come to an end with what it has. */
export interface SettleRequest {
  readonly type: 'settle';
}

/** What the child sends: progress any number of times, then one result or error. */
export type ChildMessage =
  | { readonly type: 'progress'; readonly progress: TaskProgress }
  | { readonly type: 'result'; readonly result: unknown }
  | { readonly type: 'error'; readonly error: SerializedError; readonly stack: string | null };
