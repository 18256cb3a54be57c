import { spawn } from 'node:child_process';
import path from 'node:path';
import { root } from './setup.mjs';

const RESTART_DELAY_MS = 1000;
const STOP_TIMEOUT_MS = 20_000;

/** Keeps one service process running. */
export class Service {
  /** One sentence when the process has ended unasked at least once. */
  failure = null;
  #name;
  #file;
  #options;
  #environment;
  #child = null;
  #isStopping = false;

  constructor(name, file, options) {
    this.#name = name;
    this.#file = path.join(root, file);
    this.#options = options;
  }

  start(environment) {
    this.#environment = environment;
    this.#spawn();
  }

  /** Starts the process anew in another environment. */
  restart(environment) {
    this.#environment = environment;
    this.#child?.kill('SIGTERM');
  }

  async stop() {
    this.#isStopping = true;
    const child = this.#child;
    if (!child) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await ended;
    clearTimeout(timer);
  }

  #spawn() {
    if (this.#isStopping) return;
    const { nodeArguments, output } = this.#options;
    // The IPC channel is a lifeline: the service ends when this process dies, however it dies.
    const child = spawn(process.execPath, [...nodeArguments, this.#file], {
      cwd: root,
      env: { ...process.env, ...this.#environment },
      stdio: ['ignore', output, output, 'ipc'],
      detached: true,
    });
    this.#child = child;
    child.once('exit', (code, signal) => {
      this.#child = null;
      if (this.#isStopping) return;
      this.failure = `The ${this.#name} ended (${signal ?? `exit code ${code}`}).`;
      process.stderr.write(`${this.failure} Starting it again.\n`);
      setTimeout(() => this.#spawn(), RESTART_DELAY_MS).unref();
    });
  }
}
