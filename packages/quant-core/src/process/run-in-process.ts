import { type Phase, TritforgeError } from '@tritforge/contracts';
import { type EngineProcess, type ProcessEnd, startEngineProcess } from './engine-process.js';
import type { TaskProgress } from './engine-task.js';
import { memoryExceeded, watchLimits } from './limit-watch.js';
import type { ChildMessage, SettleRequest } from './messages.js';
import type { ProcessLimits } from './process-limits.js';

/** How to run a task in a process of its own. */
export interface RunOptions {
  readonly limits: ProcessLimits;
  /** Aborting it kills the process at once; the run then fails with CANCELED. */
  readonly signal?: AbortSignal | undefined;
  /** Aborting it asks a task that can end at any time, a search, to end with what it has. So does a deadline that comes near. */
  readonly settle?: AbortSignal | undefined;
  /** At most about ten times a second, and at each change of phase. */
  readonly onProgress?: ((progress: TaskProgress) => void) | undefined;
  /** From 0 (the default) to 19: how much the process yields the processor to others. */
  readonly niceness?: number | undefined;
}

/** Share of the deadline after which a task should settle, so that the rest of its work fits in. */
const SETTLE_SHARE = 0.75;

type Verdict = { readonly result: unknown } | { readonly error: Error };

/**
 * Runs one task in a new process whose module at `entry` calls `serveTask`, and kills the process as soon as there is a
 * verdict: a result, an error, a limit exceeded, an abort.
 *
 * @throws TritforgeError what the task threw; CANCELED; JOB_DEADLINE_EXCEEDED, JOB_MEMORY_EXCEEDED, JOB_DISK_EXCEEDED;
 *   JOB_CRASHED when the process died by itself or by someone else's hand
 */
export async function runInProcess(
  entry: URL,
  task: { readonly kind: string },
  scratchDir: string,
  options: RunOptions,
): Promise<unknown> {
  const { limits, signal, settle, onProgress, niceness = 0 } = options;
  if (signal?.aborted) throw canceled(signal);
  const child = startEngineProcess(entry, scratchDir, limits, niceness);
  let verdict: Verdict | undefined;
  let phase: Phase | null = null;
  const decide = (next: Verdict) => {
    verdict ??= next;
    child.kill();
  };
  const stopWatching = watch(child, scratchDir, limits, (error) => decide({ error }));
  const onAbort = () => decide({ error: canceled(signal!) });
  signal?.addEventListener('abort', onAbort, { once: true });
  child.onMessage((message) => {
    if (verdict) return;
    const received = message as ChildMessage;
    if (received.type === 'result') decide({ result: received.result });
    else if (received.type === 'error') decide({ error: taskError(received) });
    else {
      phase = received.progress.phase;
      guarded(() => onProgress?.(received.progress), decide);
    }
  });
  child.send({ task, scratchDir });
  const stopSettling = whenToSettle(limits, settle, () => child.send({ type: 'settle' } satisfies SettleRequest));
  const end = await child.ended;
  stopWatching();
  stopSettling();
  signal?.removeEventListener('abort', onAbort);
  verdict ??= { error: deathError(task.kind, phase, end, limits) };
  if ('error' in verdict) throw verdict.error;
  return verdict.result;
}

/** Calls `onSettle` once, early enough before the deadline or when asked to. Returns the function that ends the wait. */
function whenToSettle(
  { wallClockMs }: ProcessLimits,
  settle: AbortSignal | undefined,
  onSettle: () => void,
): () => void {
  let isDone = false;
  const once = () => {
    if (!isDone) onSettle();
    isDone = true;
  };
  const timer = setTimeout(once, SETTLE_SHARE * wallClockMs);
  if (settle?.aborted) once();
  settle?.addEventListener('abort', once, { once: true });
  return () => {
    clearTimeout(timer);
    settle?.removeEventListener('abort', once);
  };
}

function watch(
  child: EngineProcess,
  scratchDir: string,
  limits: ProcessLimits,
  onExceeded: (error: TritforgeError) => void,
): () => void {
  return child.pid === undefined ? () => {} : watchLimits(child.pid, scratchDir, limits, onExceeded);
}

/** A listener that throws ends the run with what it threw. */
function guarded(listener: () => void, decide: (verdict: Verdict) => void): void {
  try {
    listener();
  } catch (error) {
    decide({ error: error instanceof Error ? error : new Error(String(error)) });
  }
}

function canceled(signal: AbortSignal): TritforgeError {
  return new TritforgeError('CANCELED', 'The work was canceled.', { cause: signal.reason });
}

/** The error of the task, with the stack of the child where it says where our own mistake is. */
function taskError({ error, stack }: Extract<ChildMessage, { type: 'error' }>): TritforgeError {
  const { code, message, retryable: _, ...context } = error;
  return new TritforgeError(code, message, { ...context, ...(stack !== null && { cause: stack }) });
}

/** What an allocator that finds no memory writes before it aborts. */
const OUT_OF_MEMORY = /heap out of memory|bad_alloc|Failed to reserve|Cannot allocate memory/i;

function deathError(kind: string, phase: Phase | null, end: ProcessEnd, limits: ProcessLimits): TritforgeError {
  if (OUT_OF_MEMORY.test(end.stderr)) return memoryExceeded(limits.memoryBytes, end.stderr);
  const how = end.signal === null ? `ended with exit code ${end.exitCode}` : `died of ${end.signal}`;
  const where = phase === null ? '' : ` in phase ${phase}`;
  return new TritforgeError('JOB_CRASHED', `The process that ran ${kind} ${how}${where}.`, {
    remediation:
      end.signal === 'SIGKILL'
        ? 'Something outside killed it, often for lack of memory on the machine. Try again, or lower the memory limit.'
        : 'Try again. If it dies again, the model makes the runtime crash; exclude the layer it names, if any, and report it.',
    cause: end.stderr === '' ? undefined : end.stderr,
  });
}
