import { readFileSync } from 'node:fs';
import { link, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';

/** What the pid file of a running server says. */
export interface Postmaster {
  readonly pid: number;
  readonly port: number;
  /** `ready` when the server accepts connections; else `starting`, `stopping` or empty. */
  readonly status: string;
}

/** Lines of postmaster.pid: pid, data directory, start time, port, socket directory, address, shared memory, status. */
function parse(text: string): Postmaster | null {
  const lines = text.split('\n');
  const pid = Number(lines[0]);
  if (!Number.isInteger(pid) || pid <= 0) return null;
  return { pid, port: Number(lines[3] ?? 0), status: (lines[7] ?? '').trim() };
}

/** The server that runs on a cluster, or null when there is none. */
export async function readPostmaster(dataDir: string): Promise<Postmaster | null> {
  const text = await readFile(path.join(dataDir, 'postmaster.pid'), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  const postmaster = parse(text);
  return postmaster && isServer(postmaster.pid) ? postmaster : null;
}

/**
 * Whether a pid is a living server. A killed one stays for a while as a zombie, until its parent looks; and after a
 * restart of the machine or container the pid may belong to another program.
 */
export function isServer(pid: number): boolean {
  if (process.platform === 'linux') {
    try {
      const [, name = '', state = ''] = /\((.*)\) (\S)/s.exec(readFileSync(`/proc/${pid}/stat`, 'utf8')) ?? [];
      return name.startsWith('postgres') && state !== 'Z';
    } catch {
      return false;
    }
  }
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/**
 * Removes the pid file of a server that no longer runs. The file is moved aside first and put back if, meanwhile,
 * somebody else started a server.
 */
export async function clearStalePid(dataDir: string): Promise<void> {
  const file = path.join(dataDir, 'postmaster.pid');
  const aside = `${file}.stale-${process.pid}`;
  try {
    await rename(file, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  const moved = parse(await readFile(aside, 'utf8'));
  if (moved && isServer(moved.pid)) await link(aside, file).catch(() => {});
  await rm(aside, { force: true });
}
