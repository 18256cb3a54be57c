/**
 * Brings a checkout to a state in which everything runs: dependencies, native addon, database client, compiled code.
 * Each step is skipped when its result is up to date. Needs nothing but Node, so that it works in a fresh clone.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');

/** Removes from the environment what npm adds for the script it runs: nested npm calls would obey it. */
function cleanEnvironment() {
  const environment = { ...process.env };
  for (const name of Object.keys(environment)) {
    if (/^npm_(config_(?!registry|cache|userconfig|cafile|prefer)|lifecycle|package|command|node)/i.test(name)) {
      delete environment[name];
    }
  }
  return environment;
}

function run(command, args, { quiet = false } = {}) {
  const result = spawnSync(command, args, {
    cwd: root,
    env: cleanEnvironment(),
    encoding: 'utf8',
    stdio: quiet ? ['ignore', 'pipe', 'pipe'] : ['ignore', 2, 2],
  });
  if (result.error) throw new Error(`${command} could not be started: ${result.error.message}`);
  if (result.status !== 0) {
    const output = quiet ? `\n${result.stdout}${result.stderr}` : '';
    throw new Error(`${command} ${args.join(' ')} failed with exit code ${result.status}.${output}`);
  }
  return quiet ? `${result.stdout}${result.stderr}` : '';
}

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  const supported = major >= 24 || (major === 22 && minor >= 12) || (major === 20 && minor >= 19);
  if (!supported) {
    throw new Error(`Tritforge needs Node 20.19 or newer, 22.12 or newer, or 24 or newer; this is ${process.version}.`);
  }
}

function digestOf(...files) {
  const hash = createHash('sha256');
  for (const file of files) hash.update(file).update(readFileSync(path.join(root, file)));
  return hash.digest('hex');
}

/** `npm ci` when node_modules is missing or was installed from another lock file. */
function installDependencies() {
  const stamp = path.join(root, 'node_modules', '.tritforge-lock');
  const digest = digestOf('package-lock.json');
  // Without the development dependencies, as after `npm prune --omit=dev`, nothing compiles.
  const isComplete = existsSync(path.join(root, 'node_modules', 'knip'));
  if (isComplete && existsSync(stamp) && readFileSync(stamp, 'utf8') === digest) return;
  const installed = path.join(root, 'node_modules', '.package-lock.json');
  const alreadyFresh =
    existsSync(installed) && statSync(installed).mtimeMs > statSync(path.join(root, 'package-lock.json')).mtimeMs;
  if (!(isComplete && alreadyFresh)) {
    process.stderr.write('Installing dependencies (npm ci) …\n');
    run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error']);
  }
  writeFileSync(stamp, digest);
}

/** Says only what is news: that the addon was built, or why it could not be. */
function buildAddon() {
  const output = run(process.execPath, ['packages/kernels/build.mjs'], { quiet: true });
  if (!output.includes('up to date')) process.stderr.write(output);
}

/** The database client is generated code: made anew when the schema is newer. */
function generateDatabaseClient() {
  const stamp = path.join(root, 'packages/store/src/generated/.schema');
  const digest = digestOf('prisma/schema.prisma', 'prisma.config.ts', 'package-lock.json');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === digest) return;
  run(process.execPath, ['node_modules/prisma/build/index.js', 'generate'], { quiet: true });
  writeFileSync(stamp, digest);
}

function compile() {
  run(process.execPath, ['node_modules/typescript/bin/tsc', '-b'], { quiet: true });
}

/** One set-up at a time: a second one waits for the first, unless that one died. */
function withLock(work) {
  const lock = path.join(root, 'node_modules.lock');
  for (;;) {
    try {
      mkdirSync(lock);
      break;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
      const owner = Number(readdirSync(lock)[0] ?? 0);
      const ageMs = Date.now() - statSync(lock, { throwIfNoEntry: false })?.mtimeMs;
      if ((owner === 0 && ageMs > 5000) || (owner !== 0 && !isAlive(owner)))
        rmSync(lock, { recursive: true, force: true });
      else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
    }
  }
  try {
    writeFileSync(path.join(lock, String(process.pid)), '');
    work();
  } finally {
    rmSync(lock, { recursive: true, force: true });
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

/** Installs and builds what is missing. Messages go to standard error. */
export function setUp() {
  checkNode();
  withLock(() => {
    installDependencies();
    buildAddon();
    generateDatabaseClient();
    compile();
  });
}

/** Runs the main function of a script; an error becomes one message and exit code 1. */
export async function main(work) {
  try {
    await work();
  } catch (error) {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  }
}
