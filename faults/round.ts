/** START HERE: a round. Pipelines work, faults happen, all is made good, and then everything must be as if nothing had been. */
import { checkArtifacts } from './check/artifacts.js';
import { clearRound } from './check/clear.js';
import { checkAcknowledged, checkOrphans } from './check/content.js';
import type { Check, CheckContext } from './check/context.js';
import { checkJobs, type JobRow, readJobs } from './check/jobs.js';
import { checkLeftovers } from './check/leftovers.js';
import { ageFolders } from './check/pass-time.js';
import { checkWebhooks } from './check/webhooks.js';
import { inflict } from './inflict/inflict.js';
import { waitFor } from './inflict/sighting.js';
import { type Attempts, createBlindClient, noAttempts } from './pipeline/blind-client.js';
import { Ledger } from './pipeline/ledger.js';
import { runTask } from './pipeline/tasks.js';
import { type FaultPlan, type RoundPlan, randomOf } from './plan.js';
import type { Service } from './service/service.js';
import { holdsWithin, inTime } from './until.js';

/** Leases, attempts and the queue take their time; a service that is whole gets there. */
const SETTLED_WITHIN_MS = 180_000;
/** The longest one lasts a quarter of a minute; what it killed then starts again. */
const FAULT_WITHIN_MS = 180_000;

/** What must hold of what the round has made. */
const CHECKS: readonly Check[] = [checkJobs, checkWebhooks, checkAcknowledged, checkArtifacts];

/** What stays from round to round. */
export type Standing = Pick<CheckContext, 'service' | 'receiver' | 'keepsake' | 'artifactDigests'>;

/** A fault that was done, and when. */
export interface DoneFault {
  readonly plan: FaultPlan;
  readonly moment: string;
}

/** What came of a round. */
export interface RoundResult {
  readonly round: number;
  readonly faults: readonly DoneFault[];
  /** The jobs of the round that it did not delete on its way, as they ended. */
  readonly jobs: readonly Pick<JobRow, 'state' | 'code' | 'attempts'>[];
  readonly attempts: Attempts;
  readonly durationMs: number;
  /** Invariants that do not hold, a sentence each. */
  readonly wrong: readonly string[];
}

/** Runs a round from its plan. Never throws: what goes wrong is part of the result. */
export async function runRound(standing: Standing, seed: number, round: number, plan: RoundPlan): Promise<RoundResult> {
  const startedMs = Date.now();
  const { service, keepsake } = standing;
  const attempts = noAttempts();
  const client = createBlindClient(service.urls, randomOf(seed, round, 1), attempts);
  const context: CheckContext = { ...standing, client, ledger: new Ledger() };
  const wrong: string[] = [];
  let faults: DoneFault[] = [];
  let jobs: JobRow[] = [];
  try {
    faults = await trouble(context, seed, round, plan, attempts, wrong);
    wrong.push(...(await settle(context)));
    jobs = (await readJobs(context)).filter(({ id }) => id !== keepsake.id);
    for (const check of CHECKS) wrong.push(...(await check(context)));
    await sweep(service, round);
    wrong.push(...(await checkOrphans(context)), ...(await checkLeftovers(context)));
    if (wrong.length === 0) wrong.push(...(await clearRound(context)));
  } catch (error) {
    wrong.push(messageOf(error));
  }
  const ownEnds = [...service.apis, ...service.workers].flatMap((process) => process.ownEnds.splice(0));
  return {
    round,
    faults,
    jobs,
    attempts,
    durationMs: Date.now() - startedMs,
    wrong: [...wrong, ...context.ledger.wrong, ...attempts.differences, ...ownEnds],
  };
}

/** Lets pipelines and faults happen at once, until all of both are over. */
async function trouble(
  { service, ledger }: CheckContext,
  seed: number,
  round: number,
  plan: RoundPlan,
  attempts: Attempts,
  wrong: string[],
): Promise<DoneFault[]> {
  const since = new Date();
  const noting = (what: string) => (error: unknown) => {
    wrong.push(`${what}: ${messageOf(error)}`);
  };
  const over = new AbortController();
  const tasks = plan.tasks.map((task, index) => {
    const random = randomOf(seed, round, 2 + index);
    const client = createBlindClient(service.urls, random, attempts);
    const key = `faults-${seed}-${round}-${index}`;
    return runTask(task, { client, ledger, random, key }).catch(noting(`the task "${task.kind}"`));
  });
  const faults = plan.faults.map(async (fault): Promise<DoneFault> => {
    const moment = await waitFor(fault.moment, service.db, since, over.signal);
    await inTime(FAULT_WITHIN_MS, inflict(service, fault)).catch(noting(`the fault ${fault.kind}`));
    return { plan: fault, moment };
  });
  await Promise.all(tasks);
  over.abort();
  return Promise.all(faults);
}

/** Waits until no job waits or runs any more. */
async function settle({ service }: CheckContext): Promise<string[]> {
  const isOver = await holdsWithin(SETTLED_WITHIN_MS, async () => {
    const { rows } = await service.db.query("SELECT 1 FROM jobs WHERE state IN ('queued', 'running')");
    return rows.length === 0;
  });
  return isOver ? [] : [`jobs wait or run ${SETTLED_WITHIN_MS} ms after the service was whole again`];
}

/** Gets rid of what crashes left: as the service does it when a process of it starts, and when it has waited for long enough. */
async function sweep(service: Service, round: number): Promise<void> {
  const restarted = (await ageFolders(service))
    ? [service.apis, service.workers].map((processes) => processes[round % processes.length]!)
    : [];
  await Promise.all(
    restarted.map((process) =>
      process.exclusively(async () => {
        await process.stop();
        await process.start();
      }),
    ),
  );
  await service.withStore(async (store) => {
    await store.sweepBlobs();
    await store.sweepUploads();
    await store.sweepRequests();
    await store.sweepPastRuns();
    await store.deliveries.sweep();
  });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
