import type { JobState } from '@tritforge/contracts';
import type { TaskKind } from './task-kinds.js';
import type { WorkName } from './works.js';

/** A job that the service has said it accepts. */
export interface AcceptedJob {
  readonly id: string;
  readonly task: TaskKind;
  readonly work: WorkName;
  /** As the client saw it end; null as long as it did not. */
  endedAs: JobState | null;
  /** Whether the client asked to delete it, and was told that it is. */
  deletion: 'none' | 'asked' | 'done';
}

/** What the service has acknowledged, and so must not lose. */
export class Ledger {
  readonly jobs = new Map<string, AcceptedJob>();
  readonly models = new Set<string>();
  readonly datasets = new Set<string>();
  /** What clients saw that must not be. */
  readonly wrong: string[] = [];
}
