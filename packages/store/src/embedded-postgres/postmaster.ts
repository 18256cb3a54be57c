import { readFileSync, rmSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';

/** A server that starts has an empty pid file for a moment. */
const EMPTY_FILE_GRACE_MS = 2_000;

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
 * Removes a pid file whose process is no server, as PostgreSQL does itself only when there is no process at all. Reads and
 * removes the file without a pause, so that it is not the one of a server that somebody else starts meanwhile: that server
 * would miss it.
 */
export function clearStalePid(dataDir: string): void {
  const file = path.join(dataDir, 'postmaster.pid');
  try {
    const postmaster = parse(readFileSync(file, 'utf8'));
    const isStale = postmaster ? !isServer(postmaster.pid) : Date.now() - statSync(file).mtimeMs > EMPTY_FILE_GRACE_MS;
    if (isStale) rmSync(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}
