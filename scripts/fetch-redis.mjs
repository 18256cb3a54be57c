/**
 * Finds a Redis server for the tests and prints its path: one on PATH, or one that is taken from Debian's or Ubuntu's
 * archive into .data/redis. Needs no root and installs nothing. Says why and exits with 1 when none can be had.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { root } from './setup.mjs';

/** The server and the libraries that are its own; what else it needs is on every Debian. */
const PACKAGES = [
  'redis-server',
  'redis-tools',
  'libjemalloc2',
  'liblzf1',
  'liblua5.1-0',
  'lua-cjson',
  'lua-bitop',
  'libatomic1',
];
const DOWNLOAD_TIMEOUT_MS = 60_000;

const home = path.join(root, '.data/redis');
const launcher = path.join(home, 'redis-server');

/** Runs a program; returns null when it worked, else what it said. */
function attempt(command, args, cwd) {
  const { error, status, stdout, stderr } = spawnSync(command, args, {
    cwd,
    encoding: 'utf8',
    timeout: DOWNLOAD_TIMEOUT_MS,
  });
  if (error) return error.message;
  return status === 0 ? null : `${stdout}${stderr}`.trim().split('\n').at(-1) || `exit code ${status}`;
}

const works = (command) => attempt(command, ['--version'], root) === null;

/** Unpacks the packages into `dir` and writes a launcher that finds their libraries beside itself. */
function unpack(dir) {
  const limits = ['-o', 'Acquire::Retries=0', '-o', 'Acquire::http::Timeout=20'];
  const failure = attempt('apt-get', ['download', '-q', ...limits, ...PACKAGES], dir);
  if (failure) throw new Error(`apt-get download failed: ${failure}`);
  for (const name of readdirSync(dir).filter((file) => file.endsWith('.deb'))) {
    const problem = attempt('dpkg', ['-x', name, 'root'], dir);
    if (problem) throw new Error(`dpkg could not unpack ${name}: ${problem}`);
    rmSync(path.join(dir, name));
  }
  const libraries = readdirSync(path.join(dir, 'root'), { recursive: true }).filter((file) =>
    /\.so(\.\d+)*$/.test(file),
  );
  const folders = [...new Set(libraries.map((file) => `$here/root/${path.dirname(file)}`))];
  const script = `#!/bin/sh
here=$(cd "$(dirname "$0")" && pwd)
LD_LIBRARY_PATH="${folders.join(':')}" exec "$here/root/usr/bin/redis-server" "$@"
`;
  writeFileSync(path.join(dir, 'redis-server'), script);
  chmodSync(path.join(dir, 'redis-server'), 0o755);
}

function fetchRedis() {
  mkdirSync(path.dirname(home), { recursive: true });
  const draft = mkdtempSync(`${home}.`);
  try {
    chmodSync(draft, 0o755);
    unpack(draft);
    if (!existsSync(home)) renameSync(draft, home);
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
  if (!works(launcher)) throw new Error(`${launcher} does not run here`);
}

try {
  const onPath = ['redis-server', 'valkey-server'].find(works);
  if (!onPath && !existsSync(launcher)) fetchRedis();
  console.log(onPath ?? launcher);
} catch (error) {
  console.error(`No Redis server: ${error.message}`);
  process.exitCode = 1;
}
