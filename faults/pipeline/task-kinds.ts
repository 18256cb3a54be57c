import type { JobState } from '@tritforge/contracts';

/** What a pipeline does with the service in a round. */
export interface TaskKindInfo {
  readonly meaning: string;
  /** How its job may end where nothing of the service fails; `failed` for a failed gate. */
  readonly ends: readonly JobState[];
  /** Whether its job may fail by a gate. */
  readonly isGated?: true;
}

/** Every kind of task. */
export const TASK_KINDS = {
  form: { meaning: 'model, data and job in one form', ends: ['succeeded'] },
  steps: { meaning: 'model, dataset and job one after the other', ends: ['succeeded'] },
  pieces: { meaning: 'the model as an upload in pieces', ends: ['succeeded'] },
  gated: { meaning: 'a gate that fails the job', ends: ['failed'], isGated: true },
  canceled: { meaning: 'canceled at some time', ends: ['canceled', 'succeeded'] },
  deleted: { meaning: 'deleted as soon as it has ended', ends: ['succeeded'] },
  expiring: { meaning: 'kept for an hour, of which the round does not wait for the end', ends: ['succeeded'] },
  late: { meaning: 'to be started within a second', ends: ['succeeded', 'expired'] },
} as const satisfies Record<string, TaskKindInfo>;

export type TaskKind = keyof typeof TASK_KINDS;
