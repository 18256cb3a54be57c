import type { Phase } from '@tritforge/contracts';
import type { JobClaim, Store } from '@tritforge/store';

/** The store, with `onPhase` called, and waited for, whenever a worker has stored that a job has come to a phase. */
export function watchPhases(store: Store, onPhase: (claim: JobClaim, phase: Phase) => unknown): Store {
  const phases = new Map<string, Phase>();
  return {
    ...store,
    jobs: {
      ...store.jobs,
      heartbeat: async (claim, update) => {
        const holds = await store.jobs.heartbeat(claim, update);
        if (update !== undefined && phases.get(claim.token) !== update.phase) {
          phases.set(claim.token, update.phase);
          await onPhase(claim, update.phase);
        }
        return holds;
      },
    },
  };
}
