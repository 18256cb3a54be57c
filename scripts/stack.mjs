/**
 * Runs the whole service on this machine: PostgreSQL (embedded unless DATABASE_URL is set), API and worker as child
 * processes that are started again when they die. Used by `npm start`, `npm run dev` and `npm run demo`.
 */
import { mkdirSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { lockDataDir } from './data-dir-lock.mjs';
import { Service } from './service.mjs';

const READY_TIMEOUT_MS = 60_000;
const READY_INTERVAL_MS = 100;
const DATABASE_WATCH_INTERVAL_MS = 1000;

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** PostgreSQL, API and worker. Start it once, stop it once. */
export class Stack {
  #dataDir;
  #host;
  #port;
  #services;
  #postgres = null;
  #databaseUrl;
  #watch;
  #lock = null;
  #starting = null;
  #stopping = null;

  /**
   * @param options.dataDir database cluster, blobs and scratch files
   * @param options.port HTTP port
   * @param options.output where the services' logs go: 'inherit', or a file descriptor
   * @param options.nodeArguments arguments of node for the services
   */
  constructor({ dataDir, host = '127.0.0.1', port, output = 'inherit', nodeArguments = ['--enable-source-maps'] }) {
    this.#dataDir = dataDir;
    this.#host = host;
    this.#port = port;
    const reachableHost = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
    this.url = `http://${reachableHost.includes(':') ? `[${reachableHost}]` : reachableHost}:${port}`;
    this.database = process.env.DATABASE_URL ? 'DATABASE_URL' : 'embedded PostgreSQL';
    this.queue = process.env.REDIS_URL ? 'Redis' : 'PostgreSQL';
    this.#services = [
      new Service('API', 'apps/api/dist/server.js', { output, nodeArguments }),
      new Service('worker', 'apps/worker/dist/main.js', { output, nodeArguments }),
    ];
  }

  /** Starts everything and waits until it is ready; when that fails, what was started is stopped again. */
  async start() {
    try {
      this.#starting = this.#start();
      await this.#starting;
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /** Stops everything, in whatever state it is. */
  stop() {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #start() {
    await checkPort(this.#host, this.#port);
    mkdirSync(this.#dataDir, { recursive: true });
    this.#lock = lockDataDir(this.#dataDir, this.url);
    const { deployMigrations } = await import('../packages/store/dist/index.js');
    await this.#startDatabase();
    await deployMigrations(this.#databaseUrl);
    this.#throwIfStopping();
    for (const service of this.#services) service.start(this.#environment());
    this.#watchDatabase();
    await this.#ready();
  }

  async #stop() {
    clearInterval(this.#watch);
    const stopped = this.#services.map((service) => service.stop());
    await this.#starting?.catch(() => {});
    await Promise.all(stopped);
    await this.#postgres?.stop();
    this.#lock?.release();
  }

  #throwIfStopping() {
    if (this.#stopping) throw new Error('The service was stopped before it was ready.');
  }

  async #startDatabase() {
    if (process.env.DATABASE_URL) {
      this.#databaseUrl = process.env.DATABASE_URL;
      return;
    }
    const { startEmbeddedPostgres } = await import('../packages/store/dist/index.js');
    this.#postgres = await startEmbeddedPostgres({
      dataDir: path.join(this.#dataDir, 'postgres'),
      onNotice: (message) => process.stderr.write(`${message}\n`),
    });
    this.#databaseUrl = this.#postgres.databaseUrl('tritforge');
  }

  #environment() {
    return {
      DATABASE_URL: this.#databaseUrl,
      TRITFORGE_DATA_DIR: this.#dataDir,
      TRITFORGE_HOST: this.#host,
      TRITFORGE_PORT: String(this.#port),
    };
  }

  /** A database that was killed is started again. The services connect again by themselves, unless its port changed. */
  #watchDatabase() {
    let isStarting = false;
    this.#watch = setInterval(async () => {
      if (isStarting || this.#stopping || !this.#postgres || this.#postgres.isRunning()) return;
      isStarting = true;
      try {
        process.stderr.write('The embedded PostgreSQL ended. Starting it again.\n');
        const formerUrl = this.#databaseUrl;
        await this.#startDatabase();
        if (this.#stopping) await this.#postgres.stop();
        else if (this.#databaseUrl !== formerUrl) {
          for (const service of this.#services) service.restart(this.#environment());
        }
      } catch (error) {
        process.stderr.write(`${error.message}\n`);
      } finally {
        isStarting = false;
      }
    }, DATABASE_WATCH_INTERVAL_MS);
  }

  async #ready() {
    const giveUpMs = Date.now() + READY_TIMEOUT_MS;
    while (!(await isReady(this.url))) {
      this.#throwIfStopping();
      const failed = this.#services.find((service) => service.failure);
      if (failed) throw new Error(`${failed.failure} Its log above says why.`);
      if (Date.now() > giveUpMs) {
        throw new Error(`The service at ${this.url} was not ready after ${READY_TIMEOUT_MS / 1000} s.`);
      }
      await sleep(READY_INTERVAL_MS);
    }
  }
}

async function isReady(url) {
  try {
    return (await fetch(`${url}/health/ready`, { signal: AbortSignal.timeout(2000) })).ok;
  } catch {
    return false;
  }
}

/** Whether the API could listen: a service that answers on the port already must not pass for ours. */
function checkPort(host, port) {
  if (!Number.isInteger(port) || port < 1 || port > 65535) {
    throw new Error('TRITFORGE_PORT must be a number from 1 to 65535.');
  }
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.once('error', ({ code, message }) => {
      if (code !== 'EADDRINUSE') reject(new Error(`The service cannot listen on ${host}: ${message}`));
      else {
        const remedy = 'Stop it, or set TRITFORGE_PORT (and TRITFORGE_DATA_DIR) to start a second service.';
        reject(new Error(`Port ${port} of ${host} is taken, perhaps by a service that runs already. ${remedy}`));
      }
    });
    server.listen({ host, port, exclusive: true }, () => server.close(resolve));
  });
}

/**
 * Ends the process on Ctrl-C, on SIGTERM and when the terminal is closed, after `stop`. A second signal ends it at once.
 */
export function stopOnSignal(stop, exitCode = 0) {
  // Nobody may be left to read messages when the terminal is closed.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
  let asked = false;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, async () => {
      if (asked) process.exit(130);
      asked = true;
      process.stderr.write('\nStopping …\n');
      await stop().catch((error) => {
        process.stderr.write(`${error.message}\n`);
        process.exit(1);
      });
      process.exit(exitCode);
    });
  }
}
