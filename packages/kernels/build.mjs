/**
 * Builds the native kernels: `node build.mjs [--require] [--force] [--out DIR]`. Runs at installation and before tests.
 *
 * It calls the C++ compiler itself (no node-gyp, no Python, no download of headers). Whatever goes wrong, it says so
 * and exits with 0, and the package computes in TypeScript; with --require it exits with 1. The result is named after
 * a digest of its sources and announced in `status-<platform>-<arch>.json`, which is replaced in one step: builds may
 * run side by side, and a process that has loaded an older addon keeps it.
 *
 * `node build.mjs --operators` builds the library of ONNX Runtime operators instead, for Python, C++ and C#, and prints its path.
 *
 * `node build.mjs --program NAME [--sanitize] [--arch arm64]` builds a test program of `src/native/test` instead, with the
 * address and undefined-behaviour sanitizers if asked for, and prints its path; it exits with 3 where no compiler can do that, and with 1
 * where this source does not compile.
 * For another processor than this one the compiler is CXX or Debian's cross compiler, and the program is linked statically, so that
 * an emulator needs no libraries.
 */
import { spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import {
  addonTarget,
  canBuild,
  compile,
  findCompiler,
  findCrossCompiler,
  INSTRUCTION_SETS,
  markAsUsed,
  operatorLibraryTarget,
  targetKey,
  testProgramTarget,
} from './native-toolchain.mjs';

const EXIT_UNSUPPORTED = 3;
/** An interrupted build left it. */
const ABANDONED_AFTER_MS = 3_600_000;
/** Objects and test programs that no build has used for so long are those of older sources. */
const UNUSED_AFTER_MS = 7 * 24 * 3_600_000;

const { values: options } = parseArgs({
  options: {
    require: { type: 'boolean', default: false },
    force: { type: 'boolean', default: false },
    operators: { type: 'boolean', default: false },
    program: { type: 'string' },
    sanitize: { type: 'boolean', default: false },
    arch: { type: 'string', default: process.arch },
    out: { type: 'string', default: path.join(import.meta.dirname, 'build') },
  },
});
const platform = `${process.platform}-${process.arch}`;
const statusFile = path.join(options.out, `status-${platform}.json`);
const objects = path.join(options.out, 'objects');

process.exitCode = await build();

/** Returns the exit code. */
function build() {
  if (options.operators) return buildOperatorLibrary();
  return options.program === undefined ? buildAddon() : buildTestProgram(options.program);
}

/** Returns the exit code. */
async function buildAddon() {
  try {
    const target = addonTarget();
    const name = `kernels-${platform}-${targetKey(target)}.node`;
    if (!options.force && readStatus()?.addon === name && loads(path.join(options.out, name))) {
      return report(`native kernels are up to date (${name})`);
    }
    mkdirSync(options.out, { recursive: true });
    const failure = await compileTo(target, name, loads);
    publish(failure ? { addon: null, reason: failure.reason } : { addon: name, reason: null });
    removeOldFiles(failure ? null : name);
    return failure ? fallBack(failure.reason, failure.log) : report(`built native kernels (${name})`);
  } catch (error) {
    return fallBack(error.message);
  }
}

/** Returns the exit code. */
async function buildOperatorLibrary() {
  const name = `libtritforge_ops.${process.platform === 'darwin' ? 'dylib' : 'so'}`;
  mkdirSync(options.out, { recursive: true });
  const failure = await compileTo(operatorLibraryTarget(), name, () => true);
  if (!failure) {
    console.log(path.join(options.out, name));
    return 0;
  }
  console.error(`kernels: no library of operators: ${failure.reason}\n${failure.log ?? ''}`);
  return compilerFor(process.arch).command === undefined ? EXIT_UNSUPPORTED : 1;
}

/** Returns the exit code. */
async function buildTestProgram(program) {
  try {
    const { arch, sanitize } = options;
    if (INSTRUCTION_SETS[arch] === undefined) throw new Error(`kernels are not written for the processor "${arch}"`);
    const target = testProgramTarget(program, { sanitize, isStatic: arch !== process.arch });
    const stem = `${program}${sanitize ? '-sanitized' : ''}-${process.platform}-${arch}-`;
    const name = `${stem}${targetKey(target, arch)}`;
    const file = path.join(options.out, name);
    mkdirSync(options.out, { recursive: true });
    const failure = existsSync(file) && !options.force ? null : await compileTo(target, name, () => true, arch);
    if (!failure) {
      markAsUsed(file);
      removeUnused(options.out, (other) => other.startsWith(stem));
      console.log(file);
      return 0;
    }
    console.error(`kernels: no program ${program}: ${failure.reason}\n${failure.log ?? ''}`);
    return compilerManages(target, file, arch) ? 1 : EXIT_UNSUPPORTED;
  } catch (error) {
    console.error(`kernels: no program ${program}: ${error.message}`);
    return 1;
  }
}

/** Compiles under a temporary name, then renames. Returns null or why it failed. */
async function compileTo(target, name, isUsable, arch = process.arch) {
  const compiler = compilerFor(arch);
  if (!compiler.command) return { reason: compiler.reason };
  const temporary = path.join(options.out, `${name}.${randomUUID()}.tmp.node`);
  try {
    const log = await compile(compiler.command, target, temporary, objects, arch);
    removeUnused(objects, () => true);
    if (log !== null) return { reason: `${compiler.command.join(' ')} failed to compile the native kernels`, log };
    if (!isUsable(temporary)) return { reason: 'the compiled addon cannot be loaded by this Node' };
    renameSync(temporary, path.join(options.out, name));
    return null;
  } finally {
    rmSync(temporary, { force: true });
  }
}

function compilerFor(arch) {
  return arch === process.arch ? findCompiler(process.env.CXX) : findCrossCompiler(process.env.CXX, arch);
}

/** Whether there is a compiler that builds an empty program as the target wants it. */
function compilerManages(target, file, arch) {
  const { command } = compilerFor(arch);
  const temporary = `${file}.${randomUUID()}.tmp`;
  try {
    return command !== undefined && canBuild(command, target, temporary);
  } finally {
    rmSync(temporary, { force: true });
  }
}

/** Tried in another process: a broken addon must not take the build with it. */
function loads(file) {
  return existsSync(file) && spawnSync(process.execPath, ['-e', 'require(process.argv[1])', file]).status === 0;
}

function readStatus() {
  try {
    return JSON.parse(readFileSync(statusFile, 'utf8'));
  } catch {
    return null;
  }
}

/** What the loader reads: the file name of the addon, or why there is none. */
function publish(status) {
  const temporary = `${statusFile}.${randomUUID()}.tmp`;
  writeFileSync(temporary, `${JSON.stringify(status)}\n`);
  renameSync(temporary, statusFile);
}

/** Removes addons of other sources, and what an interrupted build left an hour ago. */
function removeOldFiles(current) {
  for (const name of readdirSync(options.out)) {
    const file = path.join(options.out, name);
    const isTemporary = /\.tmp(\.node)?$/.test(name);
    const isOldAddon = !isTemporary && name.startsWith(`kernels-${platform}-`) && name !== current;
    if (isOldAddon || (isTemporary && isOlderThan(file, ABANDONED_AFTER_MS))) rmSync(file, { force: true });
  }
}

/** Removes files of a folder that no build has used for long; each use gives them a new date. */
function removeUnused(folder, isOurs) {
  for (const name of readdirSync(folder).filter(isOurs)) {
    const file = path.join(folder, name);
    if (isOlderThan(file, UNUSED_AFTER_MS)) rmSync(file, { force: true });
  }
}

function isOlderThan(file, ageMs) {
  const stat = statSync(file, { throwIfNoEntry: false });
  return stat !== undefined && Date.now() - stat.mtimeMs > ageMs;
}

function report(message) {
  console.log(`kernels: ${message}`);
  return 0;
}

function fallBack(reason, log = '') {
  console.warn(
    `${log}kernels: not built: ${reason}. Without native kernels those in TypeScript serve: same results, slower.`,
  );
  return options.require ? 1 : 0;
}
