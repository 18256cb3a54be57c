import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, type WriteStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Program, startProcess, stopProcess } from '#test/support/service-process';

/** A process that gets nowhere for so long is killed and started again. */
const UP_TIMEOUT_MS = 60_000;
const START_TIMEOUT_MS = 120_000;
/** Between two starts of a process that cannot start yet, as while its database is away. */
const RESTART_DELAY_MS = 500;
/** What a program writes once it works. */
const UP: Readonly<Record<Program, string>> = { api: 'Server listening at', worker: 'worker started' };

/** What a process of the service is made of. */
export interface ProcessOptions {
  /** Such as `worker 1`. */
  readonly name: string;
  readonly program: Program;
  readonly env: Readonly<Record<string, string>>;
  /** Gets what it writes. */
  readonly logPath: string;
}

/** A process of the service, which is killed and started again as an orchestrator would. */
export class ServiceProcess {
  readonly name: string;
  readonly #options: ProcessOptions;
  readonly #log: WriteStream;
  #child: ChildProcess | null = null;
  #isUp = false;
  #turn: Promise<unknown> = Promise.resolve();
  /** How it ended by itself, once it had started. */
  readonly ownEnds: string[] = [];

  constructor(options: ProcessOptions) {
    this.name = options.name;
    this.#options = options;
    this.#log = createWriteStream(options.logPath, { flags: 'a' });
  }

  /** Null while it does not run. */
  get pid(): number | null {
    return this.#child?.pid ?? null;
  }

  /** Does nothing where it runs. @throws Error when it does not come up */
  async start(): Promise<void> {
    const giveUpMs = Date.now() + START_TIMEOUT_MS;
    while (!this.#isUp) {
      const child = this.#spawn();
      const isUp = await this.#comesUp(child);
      // It may have been killed, or have ended, just then.
      this.#isUp = isUp && this.#child === child;
      if (this.#isUp) return;
      if (Date.now() > giveUpMs) throw new Error(`${this.name} does not start: see ${this.#options.logPath}`);
      await sleep(RESTART_DELAY_MS);
    }
  }

  /** kill -9. */
  async kill(): Promise<void> {
    const child = this.#forget();
    if (child === null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }

  /** SIGTERM. */
  async stop(): Promise<void> {
    const child = this.#forget();
    if (child !== null) await stopProcess(child);
  }

  /** Does one thing at a time to it: who comes meanwhile waits. */
  exclusively<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => {});
    return result;
  }

  closeLog(): void {
    this.#log.end();
  }

  #spawn(): ChildProcess {
    const { program, env } = this.#options;
    const child = startProcess(program, env, 'pipe');
    child.stderr!.pipe(this.#log, { end: false });
    child.once('exit', (exitCode, signal) => {
      if (this.#child !== child) return;
      const wasUp = this.#isUp;
      this.#forget();
      if (!wasUp) return;
      this.ownEnds.push(`${this.name} ended by itself (${signal ?? `exit code ${exitCode}`})`);
      void this.exclusively(() => this.start()).catch((error: Error) => this.ownEnds.push(error.message));
    });
    this.#child = child;
    return child;
  }

  /** Its end is no surprise from now on. */
  #forget(): ChildProcess | null {
    const child = this.#child;
    this.#child = null;
    this.#isUp = false;
    return child;
  }

  /** Reads what it writes from now on. Resolves when that says that it works, or it has ended. */
  #comesUp(child: ChildProcess): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => child.kill('SIGKILL'), UP_TIMEOUT_MS);
      const settle = (isUp: boolean) => {
        clearTimeout(timer);
        resolve(isUp);
      };
      createInterface({ input: child.stdout! }).on('line', (line) => {
        this.#log.write(`${line}\n`);
        if (line.includes(UP[this.#options.program])) settle(true);
      });
      child.once('exit', () => settle(false));
    });
  }
}
