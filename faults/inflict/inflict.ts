import type { FaultKind } from '../fault-kinds.js';
import type { FaultPlan } from '../plan.js';
import type { Service } from '../service/service.js';
import { delayDeliveries, duplicateDeliveries } from './deliveries.js';
import { fillDisk, killApi, killChild, killWorker, pauseApi, pauseWorker } from './processes.js';
import { cutApi, cutDatabase, cutRedis, cutStorage, killDatabase, killRedis } from './servers.js';

/** How each kind of fault is done: it begins at once, and has been made good when the promise resolves. */
const FAULTS: Readonly<Record<FaultKind, (service: Service, plan: FaultPlan) => Promise<void>>> = {
  'kill-api': killApi,
  'kill-worker': killWorker,
  'kill-child': killChild,
  'kill-database': killDatabase,
  'kill-redis': killRedis,
  'cut-api': cutApi,
  'cut-database': cutDatabase,
  'cut-redis': cutRedis,
  'cut-storage': cutStorage,
  'full-disk': fillDisk,
  'pause-worker': pauseWorker,
  'pause-api': pauseApi,
  'duplicate-deliveries': duplicateDeliveries,
  'delay-deliveries': delayDeliveries,
};

/** Does a fault, and makes it good: what it broke runs again and what it cut is open. */
export function inflict(service: Service, plan: FaultPlan): Promise<void> {
  return FAULTS[plan.kind](service, plan);
}
