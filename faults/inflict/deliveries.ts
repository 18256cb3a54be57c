/** Faults of the queue: deliveries that come twice, and late. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Store } from '@tritforge/store';
import type { FaultPlan } from '../plan.js';
import type { Service } from '../service/service.js';

const PAUSE_MS = 50;
/** What the queue itself fails with is the business of other faults. */
const ignore = (): void => {};

/** Puts every job on the queue whenever it is not there: while it runs, and when it has ended. */
export async function duplicateDeliveries(service: Service, { way, forMs }: FaultPlan): Promise<void> {
  const first = way === 'before others';
  await toEachJob(service, forMs, ({ queue }, id) => queue.add(id, { first }));
}

/** Takes every job off the queue as soon as it is there, and puts all of them back in the end. */
export async function delayDeliveries(service: Service, { forMs }: FaultPlan): Promise<void> {
  const taken = new Set<string>();
  await toEachJob(service, forMs, async ({ queue }, id) => {
    await queue.remove(id);
    taken.add(id);
  });
  const putBack = async ({ queue }: Store) => {
    for (const id of taken) await queue.add(id).catch(ignore);
  };
  await service.withStore(putBack).catch(ignore);
}

/** Does something to each job that there is, again and again. */
async function toEachJob(
  { withStore, db }: Service,
  forMs: number,
  work: (store: Store, id: string) => Promise<void>,
): Promise<void> {
  const untilMs = Date.now() + forMs;
  const isOver = () => Date.now() > untilMs;
  const repeat = async (store: Store) => {
    while (!isOver()) {
      const found = await db.query<{ id: string }>('SELECT id FROM jobs').catch(() => ({ rows: [] }));
      for (const { id } of found.rows) if (!isOver()) await work(store, id).catch(ignore);
      await sleep(PAUSE_MS);
    }
  };
  await withStore(repeat).catch(ignore);
}
