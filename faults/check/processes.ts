import { readdir, readFile } from 'node:fs/promises';
import type { CheckContext } from './context.js';

/** While nothing is at work a service has its APIs and workers and no other process. */
export async function strayProcesses({ service }: CheckContext): Promise<string[]> {
  const expected = new Set([...service.apis, ...service.workers].map(({ pid }) => pid));
  const found = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const strays: string[] = [];
  for (const pid of found) {
    if (expected.has(pid) || !isOfService(await read(pid, 'environ'), service.dataDir)) continue;
    const parent = /^PPid:\s+(\d+)$/m.exec(await read(pid, 'status'))?.[1];
    const command = (await read(pid, 'cmdline')).replaceAll('\0', ' ').trim();
    // It has ended since it was found.
    if (command !== '') strays.push(`process ${pid} (parent ${parent}) is left: ${command}`);
  }
  return strays;
}

/**
 * Processes of a service know its data folder by their settings, and those of the engine have their temporary files in it. Its PostgreSQL,
 * which is the campaign's own, has neither.
 */
function isOfService(environment: string, dataDir: string): boolean {
  const variables = environment.split('\0');
  return variables.some((text) => text === `TRITFORGE_DATA_DIR=${dataDir}` || text.startsWith(`TMPDIR=${dataDir}/`));
}

/** Empty where the process has ended, or is of somebody else. */
function read(pid: number, name: string): Promise<string> {
  return readFile(`/proc/${pid}/${name}`, 'latin1').catch(() => '');
}
