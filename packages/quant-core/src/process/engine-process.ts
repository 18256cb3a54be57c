import { type ChildProcess, fork } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { setPriority } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { ProcessLimits } from './process-limits.js';

const STDERR_KEPT_BYTES = 8192;
const LAST_OUTPUT_WAIT_MS = 500;
const GROUP_WAIT_MS = 110;
const GROUP_ATTEMPTS = 20;

/** How a process ended. */
export interface ProcessEnd {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  /** The last that it wrote to its standard error. */
  readonly stderr: string;
}

/** A Node process in a process group of its own, so that killing it takes its descendants along. */
export interface EngineProcess {
  readonly pid: number | undefined;
  send(message: object): void;
  onMessage(listener: (message: unknown) => void): void;
  /** Kills the whole group at once; does nothing when it is gone. */
  kill(): void;
  /** Resolves when the process has ended and its output has arrived. Never rejects. */
  readonly ended: Promise<ProcessEnd>;
}

/**
 * Variables of engine processes. Tensors of many megabytes ask the kernel for pages of 2 MB where it gives them to those that ask: walks
 * over them miss the processor's table of addresses far less often then, which saves a tenth of a training step. Where the C library is
 * not glibc of 2.35 or newer, nobody reads it.
 */
export const ENGINE_ENVIRONMENT = { ORT_DISABLE_TELEMETRY: '1', GLIBC_TUNABLES: 'glibc.malloc.hugetlb=1' } as const;

/**
 * Starts a process that sees nothing of this one: no arguments, no input, no environment but a few fixed variables.
 *
 * @param entry file URL of the module to run
 * @param scratchDir its working directory, and where it finds its home and its folder for temporary files
 * @param niceness 0 (as this process) to 19 (last in line for the processor)
 */
export function startEngineProcess(
  entry: URL,
  scratchDir: string,
  limits: ProcessLimits,
  niceness: number,
): EngineProcess {
  const child = fork(fileURLToPath(entry), [String(process.pid)], {
    cwd: scratchDir,
    env: { ...ENGINE_ENVIRONMENT, HOME: scratchDir, TMPDIR: scratchDir },
    execArgv: [`--max-old-space-size=${Math.ceil(limits.memoryBytes / 2 ** 20)}`],
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    detached: true,
  });
  // A process that ends early breaks the channel; `ended` tells how it ended.
  child.on('error', () => {});
  if (child.pid !== undefined) lowerRank(child, child.pid, niceness);
  return {
    pid: child.pid,
    send: (message) => void child.send(message, () => {}),
    onMessage: (listener) => void child.on('message', listener),
    kill: () => killGroup(child),
    ended: endOf(child),
  };
}

/**
 * Makes the process the one that the kernel prefers to kill when memory runs out, and gives it less processor time. It leads a session of
 * its own; where Linux schedules sessions as groups (sched_autogroup_enabled), the niceness of its processes counts among themselves alone, and
 * that of the group against others.
 */
function lowerRank(child: ChildProcess, pid: number, niceness: number): void {
  const isLinux = process.platform === 'linux';
  if (isLinux) codeOfRefusal(() => writeFileSync(`/proc/${pid}/oom_score_adj`, '1000'));
  if (niceness === 0) return;
  codeOfRefusal(() => setPriority(pid, niceness));
  if (isLinux) lowerGroup(child, pid, niceness, GROUP_ATTEMPTS);
}

/** The kernel lets users other than root do so ten times a second, all of them together. */
function lowerGroup(child: ChildProcess, pid: number, niceness: number, attempts: number): void {
  const code = codeOfRefusal(() => writeFileSync(`/proc/${pid}/autogroup`, String(niceness)));
  if (code !== 'EAGAIN' || attempts === 1) return;
  const again = setTimeout(lowerGroup, GROUP_WAIT_MS, child, pid, niceness, attempts - 1).unref();
  child.once('exit', () => clearTimeout(again));
}

/** What is not promised by every kernel, and of a process that may have ended already. */
function codeOfRefusal(attempt: () => void): string | undefined {
  try {
    attempt();
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code;
  }
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    child.kill('SIGKILL');
  }
}

function endOf(child: ChildProcess): Promise<ProcessEnd> {
  let stderr = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    stderr = (stderr + chunk.toString()).slice(-STDERR_KEPT_BYTES);
  });
  return new Promise((resolve) => {
    child.once('error', (error) => {
      if (child.pid === undefined) resolve({ exitCode: null, signal: null, stderr: error.message });
    });
    child.once('exit', (exitCode, signal) => {
      const settle = () => resolve({ exitCode, signal, stderr });
      // Descendants that left the group may hold the output open.
      const timer = setTimeout(settle, LAST_OUTPUT_WAIT_MS);
      child.once('close', () => {
        clearTimeout(timer);
        settle();
      });
      killGroup(child);
    });
  });
}
