/**
 * The log of what jobs did, in one order that never changes: whoever has read up to an event has missed none before it.
 *
 * Rows become visible when their transactions end, not in the order of their ids, so a reader that remembered an id could miss the row of a
 * slower transaction. Events get their place when they are visible: readers give places to those that have none, one reader at a time.
 */
import type { JobState, Phase } from '@tritforge/contracts';
import { type Database, Prisma } from '../database.js';
import type { PrismaClient, JobEvent as Row } from '../generated/client.js';
import { lockUntilEnd } from '../locks.js';
import type { Reach } from '../repositories/reach.js';

/** A change of state or, within `running`, of phase. */
export interface JobEvent {
  /** Its place among all events; decimal digits. */
  readonly id: string;
  readonly jobId: string;
  readonly at: string;
  /** Null for the creation. */
  readonly from: JobState | null;
  readonly to: JobState;
  readonly phase: Phase | null;
}

export interface EventFilter {
  readonly jobId?: string | undefined;
}

export interface EventLog {
  /** The events after the one with this id (all when left out), oldest first, at most {@link EVENTS_PER_READ}. */
  read(filter?: EventFilter, afterId?: string): Promise<JobEvent[]>;
  /** Id of the newest event of any project that is there; 0 where there is none. */
  newestId(): Promise<string>;
}

/** What one read gives at most: fewer are all that there are. */
export const EVENTS_PER_READ = 500;
const BATCH = 10_000;

export function createEventLog(db: PrismaClient, reach: Reach): EventLog {
  return {
    read: async ({ jobId } = {}, afterId = '0') => {
      await givePlaces(db);
      const rows = await db.jobEvent.findMany({
        where: { sequence: { gt: BigInt(afterId) }, job: reach, ...(jobId !== undefined && { jobId }) },
        orderBy: { sequence: 'asc' },
        take: EVENTS_PER_READ,
      });
      return rows.map(toEvent);
    },
    newestId: async () => {
      await givePlaces(db);
      const { _max } = await db.jobEvent.aggregate({ _max: { sequence: true } });
      return String(_max.sequence ?? 0);
    },
  };
}

/** @param row that has its place */
export function toEvent(row: Row): JobEvent {
  return {
    id: String(row.sequence),
    jobId: row.jobId,
    at: row.at.toISOString(),
    from: row.fromState,
    to: row.toState,
    phase: row.phase as Phase | null,
  };
}

/** Gives places to events that have none. Events of one job are written one after the other, so their ids say which comes first. */
export async function givePlaces(db: PrismaClient): Promise<void> {
  const isNeeded = await db.jobEvent.findFirst({ where: { sequence: null }, select: { id: true } });
  if (isNeeded === null) return;
  await db.$transaction(async (tx) => {
    await lockUntilEnd(tx, 'eventPlaces');
    while ((await placeBatch(tx)) === BATCH);
  });
}

function placeBatch(tx: Database): Promise<number> {
  return tx.$executeRaw(Prisma.sql`
    UPDATE job_events SET sequence = placed.sequence
    FROM (
      SELECT id, nextval('job_event_sequence') AS sequence
      FROM (SELECT id FROM job_events WHERE sequence IS NULL ORDER BY id LIMIT ${BATCH}) AS waiting
    ) AS placed
    WHERE job_events.id = placed.id`);
}
