import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const SCRIPT = fileURLToPath(new URL('../../../scripts/start.mjs', import.meta.url));
const START_TIMEOUT_MS = 60_000;

/** How a start that did not succeed ended. */
export interface FailedStart {
  readonly exitCode: number | null;
  readonly messages: string;
}

/** What `npm start` starts, with an embedded database, on a port and a data folder of its own. */
export class StartedService {
  readonly #child: ChildProcess;
  readonly #port: number;
  readonly #dataDir: string;

  private constructor(child: ChildProcess, port: number, dataDir: string) {
    this.#child = child;
    this.#port = port;
    this.#dataDir = dataDir;
  }

  /** Starts it and waits until it says that it is ready. */
  static async start(port: number, dataDir: string): Promise<StartedService> {
    const child = spawnStart(port, dataDir);
    const messages = collect(child);
    const timer = setTimeout(() => child.kill(), START_TIMEOUT_MS);
    for await (const line of createInterface({ input: child.stdout! })) {
      if (!line.startsWith('Tritforge is ready')) continue;
      clearTimeout(timer);
      child.stdout!.resume();
      return new StartedService(child, port, dataDir);
    }
    throw new Error(`the service did not start: ${messages()}`);
  }

  /** Starts it where it cannot start. */
  static async fail(port: number, dataDir: string): Promise<FailedStart> {
    const child = spawnStart(port, dataDir);
    const messages = collect(child);
    child.stdout!.resume();
    const timer = setTimeout(() => child.kill('SIGKILL'), START_TIMEOUT_MS);
    const [exitCode] = await once(child, 'close');
    clearTimeout(timer);
    return { exitCode, messages: messages() };
  }

  fetch(path: string, init?: RequestInit): Promise<Response> {
    return fetch(`http://127.0.0.1:${this.#port}${path}`, init);
  }

  /** Every process of the service: the one that was started, API, worker, engine and PostgreSQL. */
  async processes(): Promise<number[]> {
    const postmaster = await readFile(join(this.#dataDir, 'postgres/postmaster.pid'), 'utf8').catch(() => '');
    return withDescendants([this.#child.pid!, ...(postmaster ? [Number.parseInt(postmaster, 10)] : [])]);
  }

  /** Kills everything at once, as a power cut would, and waits until it is gone. */
  async killAll(): Promise<void> {
    const pids = await this.processes();
    const ended = once(this.#child, 'exit');
    for (const pid of pids) kill(pid);
    await ended;
  }

  /** Ctrl-C. Returns the exit code. */
  async interrupt(): Promise<number | null> {
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGINT');
    const [exitCode] = await ended;
    return exitCode;
  }
}

/** A port on which nobody listens now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  assert.ok(address !== null && typeof address === 'object');
  return address.port;
}

/** Which of the processes still live; killed ones that nobody has looked at yet do not count. */
export function living(pids: readonly number[]): number[] {
  const states = new Map(table().map(({ pid, state }) => [pid, state]));
  return pids.filter((pid) => states.has(pid) && !states.get(pid)!.startsWith('Z'));
}

function spawnStart(port: number, dataDir: string): ChildProcess {
  const { DATABASE_URL: _, REDIS_URL: __, ...env } = process.env;
  return spawn(process.execPath, [SCRIPT], {
    env: { ...env, TRITFORGE_PORT: String(port), TRITFORGE_DATA_DIR: dataDir },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

function collect(child: ChildProcess): () => string {
  let text = '';
  child.stderr!.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  return () => text;
}

function table(): { pid: number; parent: number; state: string }[] {
  const lines = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,stat='], { encoding: 'utf8' }).trim().split('\n');
  return lines.map((line) => {
    const [pid, parent, state] = line.trim().split(/\s+/);
    return { pid: Number(pid), parent: Number(parent), state: state! };
  });
}

function withDescendants(roots: readonly number[]): number[] {
  const rows = table();
  const found = new Set(roots);
  for (const pid of found) for (const row of rows) if (row.parent === pid) found.add(row.pid);
  return [...found];
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // Processes of PostgreSQL end by themselves when the first of them is killed.
  }
}
