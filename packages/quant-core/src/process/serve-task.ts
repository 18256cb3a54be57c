import { Worker } from 'node:worker_threads';
import { type SerializedError, TritforgeError } from '@tritforge/contracts';
import type { TaskProgress } from './engine-task.js';
import type { Assignment, ChildMessage } from './messages.js';
import { ProgressSender } from './progress-sender.js';

const OWN_GROUP = 0;
/** What the operating system says where there is no space: disk full, quota used up, file size limit. */
const NO_SPACE = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);

/** What a handler may use besides its task. */
export interface TaskContext {
  readonly scratchDir: string;
  readonly onProgress: (progress: TaskProgress) => void;
  /** Aborts when the host wants the task to come to an end with what it has. */
  readonly settle: AbortSignal;
}

/** One function for each kind of task. */
export type TaskHandlers<Task extends { readonly kind: string }> = {
  readonly [Kind in Task['kind']]: (task: Extract<Task, { kind: Kind }>, context: TaskContext) => Promise<unknown>;
};

/**
 * The child's side of `runInProcess`: runs the one task that arrives, answers with its result or error, and waits to be
 * killed. Without a parent the process ends itself.
 */
export function serveTask<Task extends { readonly kind: string }>(handlers: TaskHandlers<Task>): void {
  const parentPid = Number(process.argv[2]);
  new Worker(new URL('./orphan-guard.js', import.meta.url), { workerData: { parentPid } }).unref();
  process.once('disconnect', () => process.kill(OWN_GROUP, 'SIGKILL'));
  const settle = new AbortController();
  process.once('message', (assignment) => {
    // Nothing but a request to settle comes after the task.
    process.once('message', () => settle.abort());
    void perform(handlers, assignment as Assignment<Task>, settle.signal);
  });
}

async function perform<Task extends { readonly kind: string }>(
  handlers: TaskHandlers<Task>,
  { task, scratchDir }: Assignment<Task>,
  settle: AbortSignal,
): Promise<void> {
  const sender = new ProgressSender((progress) => send({ type: 'progress', progress }));
  const handler = handlers[task.kind as Task['kind']] as (task: Task, context: TaskContext) => Promise<unknown>;
  try {
    const result = await handler(task, { scratchDir, onProgress: (progress) => sender.report(progress), settle });
    sender.flush();
    send({ type: 'result', result });
  } catch (error) {
    sender.flush();
    send({ type: 'error', ...describeError(task.kind, error) });
  }
}

function send(message: ChildMessage): void {
  process.send?.(message);
}

/** An error that is not the caller's keeps its stack, for the log of the host. */
function describeError(kind: string, error: unknown): { error: SerializedError; stack: string | null } {
  if (error instanceof TritforgeError) {
    const ours = error.status >= 500 ? stackOf(error) : null;
    return { error: error.toJSON(), stack: ours };
  }
  return { error: hostError(kind, error).toJSON(), stack: stackOf(error) };
}

function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? `${error.stack}` : `${error.stack}\nCaused by: ${stackOf(error.cause)}`;
}

/** What the machine refuses has a code of its own; anything else is a mistake of the engine. */
function hostError(kind: string, error: unknown): TritforgeError {
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof RangeError && /allocation failed/i.test(message)) {
    return new TritforgeError('JOB_MEMORY_EXCEEDED', `${kind} found no memory: ${message}.`, {
      remediation: 'Allow more memory, use a model with smaller tensors, or fine-tune with smaller batches.',
    });
  }
  if (NO_SPACE.has((error as NodeJS.ErrnoException | null)?.code ?? '')) {
    return new TritforgeError('STORAGE_FULL', `${kind} found no space on the disk: ${message}.`, {
      remediation: 'Free disk space, then try again.',
    });
  }
  return new TritforgeError('INTERNAL', `${kind} failed inside the engine: ${message}`, {
    remediation: 'Report it with the model, if you can share it, and the report of `tritforge inspect`.',
  });
}
