/** Faults of servers, and of the way to them. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { FaultPlan } from '../plan.js';
import type { Lines } from '../service/foundation.js';
import type { LineState } from '../service/line.js';
import type { Service } from '../service/service.js';

export async function killDatabase({ database, startDatabase }: Service, { forMs }: FaultPlan): Promise<void> {
  await database.kill();
  await sleep(forMs);
  await startDatabase();
}

export async function killRedis({ redis, startRedis }: Service, { forMs }: FaultPlan): Promise<void> {
  await redis?.kill();
  await sleep(forMs);
  await startRedis();
}

type Fault = (service: Service, plan: FaultPlan) => Promise<void>;

export const cutApi: Fault = ({ lines }, plan) => cut(lines.api, plan);
export const cutDatabase: Fault = ({ lines }, plan) => cut(ofProcesses(lines.database), plan);
export const cutRedis: Fault = ({ lines }, plan) => cut(ofProcesses(lines.redis), plan);
export const cutStorage: Fault = ({ lines }, plan) => cut(ofProcesses(lines.storage), plan);

/** Without that of the campaign. */
const ofProcesses = (lines: Lines): Lines => lines.slice(0, -1);

async function cut(lines: Lines, { victim, way, forMs }: FaultPlan): Promise<void> {
  const line = lines[victim % lines.length]!;
  if (way === 'cut') {
    line.cut();
    return;
  }
  line.set(way as LineState);
  try {
    await sleep(forMs);
  } finally {
    line.set('open');
  }
}
