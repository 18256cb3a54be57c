import { TritforgeError } from '@tritforge/contracts';
import type { ProcessLimits } from './process-limits.js';
import { processMemoryBytes } from './process-memory.js';
import { directorySizeBytes } from './scratch-directory.js';

const MEMORY_INTERVAL_MS = 50;
const SCRATCH_INTERVAL_MS = 1000;

/**
 * Watches a process and calls `onExceeded` at most once per limit with JOB_DEADLINE_EXCEEDED, JOB_MEMORY_EXCEEDED or
 * JOB_DISK_EXCEEDED. Returns the function that ends the watch.
 */
export function watchLimits(
  pid: number,
  scratchDir: string,
  limits: ProcessLimits,
  onExceeded: (error: TritforgeError) => void,
): () => void {
  const deadline = setTimeout(() => onExceeded(deadlineExceeded(limits.wallClockMs)), limits.wallClockMs);
  const memory = every(MEMORY_INTERVAL_MS, async () => {
    const usedBytes = await processMemoryBytes(pid);
    if (usedBytes !== null && usedBytes > limits.memoryBytes) onExceeded(memoryExceeded(limits.memoryBytes));
  });
  const scratch = every(SCRATCH_INTERVAL_MS, async () => {
    const { scratchBytes } = limits;
    if (scratchBytes === undefined) return;
    if ((await directorySizeBytes(scratchDir)) > scratchBytes) onExceeded(diskExceeded(scratchBytes));
  });
  return () => {
    clearTimeout(deadline);
    clearInterval(memory);
    clearInterval(scratch);
  };
}

/** Calls `check` again and again, never twice at once. */
function every(intervalMs: number, check: () => Promise<void>): NodeJS.Timeout {
  let running = false;
  return setInterval(async () => {
    if (running) return;
    running = true;
    await check();
    running = false;
  }, intervalMs);
}

function deadlineExceeded(wallClockMs: number): TritforgeError {
  return new TritforgeError('JOB_DEADLINE_EXCEEDED', `The work was not done after ${wallClockMs / 1000} s.`, {
    remediation: 'Allow more time, use fewer calibration and evaluation samples, or fine-tune for less long.',
  });
}

/** The error of a process that needed more than `memoryBytes`. */
export function memoryExceeded(memoryBytes: number, cause?: unknown): TritforgeError {
  const limit = `${Math.round(memoryBytes / 2 ** 20)} MiB`;
  return new TritforgeError('JOB_MEMORY_EXCEEDED', `The work needed more than ${limit} of memory.`, {
    remediation: 'Allow more memory, use a model with smaller tensors, or fine-tune with smaller batches.',
    cause,
  });
}

function diskExceeded(scratchBytes: number): TritforgeError {
  const limit = `${Math.round(scratchBytes / 2 ** 20)} MiB`;
  return new TritforgeError('JOB_DISK_EXCEEDED', `The work needed more than ${limit} of scratch space.`, {
    remediation: 'Allow more scratch space, or use smaller datasets.',
  });
}
