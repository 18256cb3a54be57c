/** What a child process may use. Exceeding any of it kills the process. */
export interface ProcessLimits {
  /** Anonymous memory, swapped parts included; pages of mapped files do not count. */
  readonly memoryBytes: number;
  /** Counted from the start of the process. */
  readonly wallClockMs: number;
  /** Bytes in the scratch folder; not limited when left out. */
  readonly scratchBytes?: number | undefined;
}
