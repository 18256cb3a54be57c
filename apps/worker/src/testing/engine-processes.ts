import { readdirSync, readFileSync } from 'node:fs';

/** Ids of the engine's processes that this process started and that still run; none where there is no /proc. */
export function engineProcesses(): number[] {
  if (process.platform !== 'linux') return [];
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter(isOurs);
}

function isOurs(pid: number): boolean {
  try {
    const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    const runs = !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'));
    return runs && command.includes(String(process.pid)) && command.some((part) => part.endsWith('/process/child.js'));
  } catch {
    return false;
  }
}
