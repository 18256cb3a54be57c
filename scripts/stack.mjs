/**
 * Runs the whole service on this machine: PostgreSQL (embedded unless DATABASE_URL is set), API and worker as child
 * processes that are started again when they die. Used by `npm start`, `npm run dev` and `npm run demo`.
 */
import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { root } from './setup.mjs';

const RESTART_DELAY_MS = 1000;
const STOP_TIMEOUT_MS = 20_000;
const READY_TIMEOUT_MS = 60_000;

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function isReady(url) {
  try {
    return (await fetch(`${url}/health/ready`, { signal: AbortSignal.timeout(2000) })).ok;
  } catch {
    return false;
  }
}

/** Keeps one service process running. */
class Service {
  #child = null;
  #stopping = false;

  constructor(name, file, options) {
    Object.assign(this, { name, file, options });
  }

  start(environment) {
    this.environment = environment;
    // The IPC channel is a lifeline: the service ends when this process dies, however it dies.
    const child = spawn(process.execPath, [...this.options.nodeArguments, path.join(root, this.file)], {
      cwd: root,
      env: { ...process.env, ...environment },
      stdio: ['ignore', this.options.output, this.options.output, 'ipc'],
      detached: true,
    });
    this.#child = child;
    child.once('exit', (code, signal) => {
      this.#child = null;
      if (this.#stopping || this.options.isStopping()) return;
      this.failure = `The ${this.name} ended (${signal ?? `exit code ${code}`}).`;
      process.stderr.write(`${this.failure} Starting it again.\n`);
      setTimeout(() => !this.#stopping && this.start(this.environment), RESTART_DELAY_MS).unref();
    });
  }

  async stop() {
    this.#stopping = true;
    const child = this.#child;
    if (!child) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await ended;
    clearTimeout(timer);
  }
}

/**
 * Starts everything and waits until it is ready.
 *
 * @param options.dataDir database cluster, blobs and scratch files
 * @param options.port HTTP port
 * @param options.output where the services' logs go: 'inherit', or a file descriptor
 * @param options.nodeArguments arguments of node for the services
 */
export async function startStack({
  dataDir,
  host = '127.0.0.1',
  port,
  output = 'inherit',
  nodeArguments = ['--enable-source-maps'],
}) {
  const { startEmbeddedPostgres, deployMigrations } = await import('../packages/store/dist/index.js');
  mkdirSync(dataDir, { recursive: true });
  let stopping = false;
  let postgres = null;
  const startDatabase = async () => {
    if (process.env.DATABASE_URL) return process.env.DATABASE_URL;
    postgres = await startEmbeddedPostgres({
      dataDir: path.join(dataDir, 'postgres'),
      onNotice: (message) => process.stderr.write(`${message}\n`),
    });
    return postgres.databaseUrl('tritforge');
  };
  const environmentFor = (databaseUrl) => ({
    DATABASE_URL: databaseUrl,
    TRITFORGE_DATA_DIR: dataDir,
    TRITFORGE_HOST: host,
    TRITFORGE_PORT: String(port),
  });
  let databaseUrl = await startDatabase();
  const options = { output, nodeArguments, isStopping: () => stopping };
  const services = [
    new Service('API', 'apps/api/dist/server.js', options),
    new Service('worker', 'apps/worker/dist/main.js', options),
  ];
  const stop = async () => {
    if (stopping) return;
    stopping = true;
    clearInterval(watch);
    await Promise.all(services.map((service) => service.stop()));
    await postgres?.stop();
  };
  // A database that was killed comes back, possibly on another port; the services then start anew.
  let checking = false;
  const watch = setInterval(async () => {
    if (checking || stopping || !postgres || isAlive(postgres.pid)) return;
    checking = true;
    try {
      process.stderr.write('The embedded PostgreSQL ended. Starting it again.\n');
      databaseUrl = await startDatabase();
      for (const service of services) {
        if (service.environment.DATABASE_URL === databaseUrl) continue;
        await service.stop();
        services[services.indexOf(service)] = Object.assign(new Service(service.name, service.file, options));
      }
      for (const service of services) if (!service.environment) service.start(environmentFor(databaseUrl));
    } catch (error) {
      process.stderr.write(`${error.message}\n`);
    } finally {
      checking = false;
    }
  }, 2000);
  watch.unref();

  try {
    await deployMigrations(databaseUrl);
    for (const service of services) service.start(environmentFor(databaseUrl));
    const url = `http://${host.includes(':') ? `[${host}]` : host === '0.0.0.0' ? '127.0.0.1' : host}:${port}`;
    const giveUpMs = Date.now() + READY_TIMEOUT_MS;
    while (!(await isReady(url))) {
      const failed = services.find((service) => service.failure);
      if (failed) throw new Error(`${failed.failure} Its log above says why.`);
      if (Date.now() > giveUpMs)
        throw new Error(`The service at ${url} was not ready after ${READY_TIMEOUT_MS / 1000} s.`);
      await sleep(100);
    }
    return {
      url,
      stop,
      database: postgres ? 'embedded PostgreSQL' : 'DATABASE_URL',
      queue: process.env.REDIS_URL ? 'Redis' : 'PostgreSQL',
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

/** Stops the stack on Ctrl-C and on SIGTERM, then lets the process end. A second signal ends it at once. */
export function stopOnSignal(stack) {
  let asked = false;
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.on(signal, async () => {
      if (asked) process.exit(130);
      asked = true;
      process.stderr.write('\nStopping …\n');
      await stack.stop();
      process.exit(0);
    });
  }
}
