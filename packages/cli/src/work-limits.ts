import { machineMemoryBytes, type ProcessLimits } from '@tritforge/quant-core/process';

const DEFAULT_DEADLINE_MS = 24 * 3_600_000;
const DEFAULT_MEMORY_SHARE = 0.8;

/** The flags that bound the work. */
export interface LimitFlags {
  readonly memoryLimit?: number;
  readonly deadline?: number;
}

/** Limits of the process that does the work. */
export function limitsOf({ memoryLimit, deadline }: LimitFlags): ProcessLimits {
  return {
    memoryBytes: memoryLimit ?? Math.floor(machineMemoryBytes() * DEFAULT_MEMORY_SHARE),
    wallClockMs: deadline ?? DEFAULT_DEADLINE_MS,
  };
}
