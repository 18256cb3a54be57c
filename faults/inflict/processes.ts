/** Faults of processes: killed, stopped, without space. */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { FaultPlan } from '../plan.js';
import type { Service } from '../service/service.js';
import type { ServiceProcess } from '../service/service-process.js';
import { holdsWithin } from '../until.js';

const execute = promisify(execFile);
const CHILD_PATIENCE_MS = 8_000;
/** Less than any model, artifact or row of scratch data that jobs of a campaign write. */
const FULL_AT_BYTES = 4_096;

const ofTwo = <T>(processes: readonly T[], victim: number): T => processes[victim % processes.length]!;

export async function killApi({ apis }: Service, { victim, forMs }: FaultPlan): Promise<void> {
  await killFor(ofTwo(apis, victim), forMs);
}

export async function killWorker({ workers }: Service, { victim, forMs }: FaultPlan): Promise<void> {
  await killFor(ofTwo(workers, victim), forMs);
}

async function killFor(process: ServiceProcess, forMs: number): Promise<void> {
  await process.exclusively(async () => {
    await process.kill();
    await sleep(forMs);
    await process.start();
  });
}

/** Kills the first process of the engine that a process has from now on; none where it has none for some seconds. */
export async function killChild(service: Service, { victim, way }: FaultPlan): Promise<void> {
  const parent = ofTwo(way === 'of a worker' ? service.workers : service.apis, victim);
  await holdsWithin(CHILD_PATIENCE_MS, async () => {
    const [child] = await childrenOf(parent);
    return child !== undefined && signal(child, 'SIGKILL');
  });
}

export async function pauseWorker({ workers }: Service, plan: FaultPlan): Promise<void> {
  await pause(ofTwo(workers, plan.victim), plan);
}

export async function pauseApi({ apis }: Service, plan: FaultPlan): Promise<void> {
  await pause(ofTwo(apis, plan.victim), plan);
}

/** Stops a process for longer than the lease of what it works on, as a machine that sleeps does, or a disk that hangs. */
async function pause(target: ServiceProcess, { way, forMs }: FaultPlan): Promise<void> {
  await target.exclusively(async () => {
    const { pid } = target;
    if (pid === null) return;
    const stopped = [pid, ...(way === 'alone' ? [] : await childrenOf(target))];
    for (const one of stopped) signal(one, 'SIGSTOP');
    try {
      await sleep(forMs);
    } finally {
      for (const one of stopped) signal(one, 'SIGCONT');
    }
  });
}

/**
 * Lets no file of a process and its children grow beyond some kilobytes. The limit of the kernel on the size of files needs no root and
 * no file system of its own, and writes fail as on a full disk, in the middle of a file too; only the error is another one (EFBIG).
 */
export async function fillDisk(service: Service, { victim, way, forMs }: FaultPlan): Promise<void> {
  const target = ofTwo(way === 'of a worker' ? service.workers : service.apis, victim);
  await target.exclusively(async () => {
    await limitFiles(target, `${FULL_AT_BYTES}`);
    try {
      await sleep(forMs);
    } finally {
      await limitFiles(target, 'unlimited');
    }
  });
}

/** Sets the limit that a process may raise again. Children inherit it when they start. */
async function limitFiles(target: ServiceProcess, bytes: string): Promise<void> {
  for (const pid of [target.pid, ...(await childrenOf(target))]) {
    // What has ended meanwhile has no limit.
    if (pid !== null) await execute('prlimit', ['--pid', `${pid}`, `--fsize=${bytes}:`]).catch(() => {});
  }
}

/** The children of a process; none where it does not run. */
async function childrenOf({ pid }: ServiceProcess): Promise<number[]> {
  if (pid === null) return [];
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
  return text.trim().split(' ').filter(Boolean).map(Number);
}

/** Returns whether the process was there to get it. */
function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, name);
  } catch {
    return false;
  }
}
