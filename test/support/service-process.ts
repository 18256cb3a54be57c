/** Processes of the service, as tests and campaigns start and stop them. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const STOP_TIMEOUT_MS = 10_000;

const PROGRAMS = { api: 'apps/api/dist/server.js', worker: 'apps/worker/dist/main.js' };

/** A program of the service. */
export type Program = keyof typeof PROGRAMS;

/** @param stderr where what it writes to its standard error goes; its standard output is a pipe that must be read */
export function startProcess(
  program: Program,
  env: Readonly<Record<string, string>>,
  stderr: 'inherit' | 'ignore' | 'pipe',
): ChildProcess {
  return spawn(process.execPath, ['--enable-source-maps', join(ROOT, PROGRAMS[program])], {
    env: { ...process.env, ...env },
    // With the channel a service ends when this process dies, however it dies.
    stdio: ['ignore', 'pipe', stderr, 'ipc'],
  });
}

/** Asks a process to end, and kills it when it does not. Does nothing where it has ended. */
export async function stopProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
  await ended;
  clearTimeout(timer);
}
