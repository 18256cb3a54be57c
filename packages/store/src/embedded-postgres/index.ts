import { execFile, spawn } from 'node:child_process';
import { mkdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { TritforgeError } from '@tritforge/contracts';
import { findBinaries } from './binaries.js';
import {
  checkOwner,
  ensureCluster,
  type Installation,
  locateCluster,
  ownerOf,
  REACHABLE_PARENT,
  readPassword,
  SUPERUSER,
} from './cluster.js';
import { clearStalePid, isServer, readPostmaster } from './postmaster.js';
import { chooseServerUser, spawnOptions } from './server-user.js';

const execute = promisify(execFile);

const START_TIMEOUT_MS = 60_000;
const POLL_MS = 50;
/** PostgreSQL writes its last arguments here: the port stays the same over restarts where possible. */
const OPTIONS_FILE = 'postmaster.opts';
const LOG_FILE = 'server.log';
const LOG_TAIL_LENGTH = 2000;
const MAX_LOG_BYTES = 1 << 20;
/** Somebody else was faster, the port was taken, or processes of a killed server have not ended yet: try again. */
const TRANSIENT = /could not bind|still in use|lock file "postmaster.pid"/;

export interface EmbeddedPostgresOptions {
  /** Directory of the cluster; created when missing. */
  readonly dataDir: string;
  /** Receives one sentence when something differs from what the caller may expect, such as another directory. */
  readonly onNotice?: (message: string) => void;
  /**
   * For tests: data survives the death of the server but no power cut; server and data are gone when this process has
   * ended, however it ends.
   */
  readonly ephemeral?: boolean;
  /** With `ephemeral`: writes wait for the disk all the same, and take the time that they take a service. */
  readonly durable?: boolean;
}

/** A running embedded server. It outlives this process unless it is stopped. */
export interface EmbeddedPostgres {
  /** Where the cluster lies; differs from the option when the server's user cannot reach that place. */
  readonly dataDir: string;
  readonly port: number;
  readonly pid: number;
  /** True when the server was running already. */
  readonly reused: boolean;
  /** Whether the server still lives. */
  isRunning(): boolean;
  /** Connection string of a database of the cluster, which `deployMigrations` creates. Contains the password. */
  databaseUrl(database: string): string;
  /** Stops the server cleanly (checkpoint), also one that was reused. */
  stop(): Promise<void>;
  /** Stops the server at once and deletes the cluster. */
  destroy(): Promise<void>;
}

/**
 * Starts, or finds running, the PostgreSQL server of `dataDir`. It listens on 127.0.0.1 only, with a password that lies
 * in the cluster. Root hands the cluster to an unprivileged user. A server that was killed recovers; of two processes
 * that start it at once, one finds it running.
 *
 * @throws TritforgeError SERVICE_UNAVAILABLE
 * @example
 * const postgres = await startEmbeddedPostgres({ dataDir: '.data/postgres' });
 * await deployMigrations(postgres.databaseUrl('tritforge'));
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const installation = await install(options);
  const { ephemeral = false, durable = false } = options;
  const { postmaster, reused } = await startServer(installation, durable || !ephemeral);
  const password = await readPassword(installation.dataDir);
  if (ephemeral) stopWithThisProcess(installation);
  const stop = (mode: 'fast' | 'immediate') => stopServer(installation, mode);
  return {
    dataDir: installation.dataDir,
    port: postmaster.port,
    pid: postmaster.pid,
    reused,
    isRunning: () => isServer(postmaster.pid),
    databaseUrl: (database) =>
      `postgresql://${SUPERUSER}:${password}@127.0.0.1:${postmaster.port}/${encodeURIComponent(database)}`,
    stop: () => stop('fast'),
    destroy: async () => {
      await stop('immediate');
      await rm(installation.dataDir, { recursive: true, force: true });
    },
  };
}

/** Decides where the cluster and the binaries are, and creates the cluster. */
async function install(options: EmbeddedPostgresOptions): Promise<Installation> {
  const { onNotice = () => {}, ephemeral = false } = options;
  const dataDirWanted = path.resolve(options.dataDir);
  await mkdir(path.dirname(dataDirWanted), { recursive: true });
  const user = await chooseServerUser(await ownerOf(dataDirWanted));
  if (!user) {
    throw new TritforgeError('SERVICE_UNAVAILABLE', 'The embedded PostgreSQL cannot run as root.', {
      remediation: 'Add a user named postgres or nobody, run as an ordinary user, or set DATABASE_URL.',
    });
  }
  const dataDir = await locateCluster(dataDirWanted, user);
  if (dataDir !== dataDirWanted) {
    onNotice(`The database lies in ${dataDir}: ${user.name}, who runs the server, cannot reach ${dataDirWanted}.`);
  }
  await checkOwner(dataDir, user);
  const binaries = await findBinaries(user, user.ids ? REACHABLE_PARENT : path.dirname(dataDir));
  if (binaries.copied) {
    onNotice(`PostgreSQL runs from ${binaries.dir}: it cannot run from where it was installed.`);
  }
  const installation = { binDir: binaries.dir, dataDir, user };
  await ensureCluster(installation, ephemeral);
  return installation;
}

/** Starts the server unless it runs, trying again while another process starts or stops it. */
async function startServer(installation: Installation, durable: boolean) {
  const { dataDir } = installation;
  const giveUpMs = performance.now() + START_TIMEOUT_MS;
  let port = await lastPort(dataDir);
  let failure = '';
  for (let started = false; ; ) {
    const postmaster = await readPostmaster(dataDir);
    if (postmaster?.status === 'ready') return { postmaster, reused: !started };
    if (performance.now() > giveUpMs) throw startError(dataDir, failure);
    if (postmaster) {
      await sleep(POLL_MS);
      continue;
    }
    clearStalePid(dataDir);
    const log = await launch(installation, port ?? (await freePort()), durable);
    started = log === null;
    if (log === null) continue;
    if (!TRANSIENT.test(log)) throw startError(dataDir, log);
    failure = log;
    port = null;
    await sleep(POLL_MS);
  }
}

/** Runs `pg_ctl start`, which returns when the server is ready. Null when it is, else what the server logged. */
async function launch({ binDir, dataDir, user }: Installation, port: number, durable: boolean): Promise<string | null> {
  const settings = ['unix_socket_directories=', 'listen_addresses=127.0.0.1', 'log_checkpoints=off'];
  if (!durable) settings.push('fsync=off', 'full_page_writes=off', 'shared_buffers=32MB');
  const server = [`-p ${port}`, ...settings.map((setting) => `-c ${setting}`)].join(' ');
  const wait = ['-w', '-t', String(START_TIMEOUT_MS / 1000)];
  const logFile = path.join(dataDir, LOG_FILE);
  const logStart = await prepareLog(logFile);
  const arguments_ = ['start', '-s', '-D', dataDir, ...wait, '-l', logFile, '-o', server];
  return execute(path.join(binDir, 'bin/pg_ctl'), arguments_, spawnOptions(user)).then(
    () => null,
    async (error: { stderr?: string; message: string }) =>
      (await readFile(logFile)).subarray(logStart).toString() || error.stderr || error.message,
  );
}

/** Puts a large log of earlier runs aside. Returns the length of the log, where that of the next run begins. */
async function prepareLog(logFile: string): Promise<number> {
  const sizeBytes = await stat(logFile).then(
    (stats) => stats.size,
    () => 0,
  );
  if (sizeBytes < MAX_LOG_BYTES) return sizeBytes;
  await rename(logFile, `${logFile}.old`);
  return 0;
}

/** Stops the server if it runs, and waits until it has ended. */
async function stopServer({ binDir, dataDir, user }: Installation, mode: 'fast' | 'immediate'): Promise<void> {
  const postmaster = await readPostmaster(dataDir).catch(() => null);
  if (!postmaster) return;
  const arguments_ = ['stop', '-s', '-D', dataDir, '-m', mode, '-w', '-t', '60'];
  await execute(path.join(binDir, 'bin/pg_ctl'), arguments_, spawnOptions(user)).catch((cause: Error) => {
    if (!isServer(postmaster.pid)) return;
    throw new TritforgeError('SERVICE_UNAVAILABLE', `The server of ${dataDir} does not stop: ${cause.message}`, {
      cause,
    });
  });
}

/** Leaves a shell behind that cleans up once our end of its input closes, which happens even when we are killed. */
function stopWithThisProcess({ binDir, dataDir, user }: Installation): void {
  const script = 'read -r _; "$0" stop -s -D "$1" -m immediate; rm -rf "$1"';
  const watcher = spawn('/bin/sh', ['-c', script, path.join(binDir, 'bin/pg_ctl'), dataDir], {
    ...spawnOptions(user),
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  watcher.unref();
  (watcher.stdin as Socket).unref();
}

/** The port that the server had before. */
async function lastPort(dataDir: string): Promise<number | null> {
  const text = await readFile(path.join(dataDir, OPTIONS_FILE), 'utf8').catch(() => '');
  const port = /"-p"\s+"(\d+)"/.exec(text)?.[1];
  return port ? Number(port) : null;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no free port');
  return address.port;
}

function startError(dataDir: string, log: string): TritforgeError {
  const reason = log.trim().slice(-LOG_TAIL_LENGTH);
  return new TritforgeError('SERVICE_UNAVAILABLE', `The PostgreSQL server of ${dataDir} did not start. ${reason}`, {
    remediation: `Look at ${path.join(dataDir, LOG_FILE)}, or set DATABASE_URL to another server.`,
  });
}
