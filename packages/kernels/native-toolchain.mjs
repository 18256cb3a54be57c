/**
 * Finds a C++ compiler, names what it is to compile, and runs it: every source on its own, as many at once as there are cores, with
 * the flags of the instruction set whose folder it lies in. Objects are kept by a digest of everything that they depend on.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, utimesSync } from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';

export const NATIVE_FOLDER = path.join(import.meta.dirname, 'src', 'native');
const INCLUDE_FOLDER = path.join(NATIVE_FOLDER, 'include');
/** No contraction to fused multiply-adds: the formulas of output stages hold bit for bit on every instruction set. */
const LANGUAGE_FLAGS = ['-std=c++20', '-Wall', '-Wextra', '-ffp-contract=off'];
/** Sources outside of the kernels: the addon, the ONNX Runtime operators and sessions, tests. */
const ADDON_FOLDERS = ['addon', 'ort'];
const OTHER_FOLDERS = [...ADDON_FOLDERS, 'include', 'test'];

const AVX2 = ['-mavx2', '-mfma', '-mf16c', '-mbmi2'];
/** Folder of kernels to compiler flags, by processor. A folder whose flags the compiler does not know is left out. */
export const INSTRUCTION_SETS = {
  x64: {
    avx2: AVX2,
    avxvnni: [...AVX2, '-mavxvnni'],
    avx512: [...AVX2, ...['f', 'bw', 'dq', 'vl', 'vnni', 'vbmi'].map((part) => `-mavx512${part}`)],
  },
  arm64: {
    neon: ['-march=armv8.2-a+dotprod'],
    neon_i8mm: ['-march=armv8.2-a+dotprod+i8mm'],
  },
};
const ISA_FOLDERS = Object.values(INSTRUCTION_SETS).flatMap((sets) => Object.keys(sets));

/**
 * What is compiled and linked for one file: all sources with `flags`, those outside of the kernels with `ownFlags` too, so that targets
 * share the objects of the kernels. `variants` of link flags are tried in turn: a distribution may lack the static library.
 */
export function addonTarget() {
  const require = createRequire(import.meta.url);
  const headers = [require('node-addon-api').include_dir, require('node-api-headers').include_dir].map(unquoted);
  const versions = ['node-addon-api', 'node-api-headers'].map((name) => require(`${name}/package.json`).version);
  return {
    sources: [...kernelSources(), ...ADDON_FOLDERS.flatMap(sourcesUnder)],
    flags: SHARED_FLAGS,
    ownFlags: ['-DNAPI_VERSION=8', '-DNAPI_CPP_EXCEPTIONS', ...isystem(headers)],
    link: ['-shared', '-pthread'],
    variants: SHARED_VARIANTS,
    versions,
  };
}

/**
 * The library that programs in other languages register with their onnxruntime. It exports `RegisterCustomOps` alone. Flags are those
 * of the addon, so that both share their objects.
 */
export function operatorLibraryTarget() {
  const exported =
    process.platform === 'darwin'
      ? '-Wl,-exported_symbol,_RegisterCustomOps'
      : `-Wl,--no-undefined,--version-script=${path.join(NATIVE_FOLDER, 'ort', 'ops', 'exports.map')}`;
  const target = addonTarget();
  return {
    ...target,
    sources: [...kernelSources(), ...sourcesUnder(path.join('ort', 'ops'))],
    link: [...target.link, exported, '-lm'],
    variants: process.platform === 'darwin' ? [[]] : target.variants,
  };
}

/**
 * A test program of `src/native/test`: what its `<name>.cc` and the helpers beside it make of the kernels.
 * @param sanitize whether with the address and undefined-behaviour sanitizers
 * @param isStatic whether it must run without shared libraries
 */
export function testProgramTarget(name, { sanitize, isStatic }) {
  const isOtherProgram = (file) => file.endsWith('_test.cc') && path.basename(file, '.cc') !== name;
  const sources = sourcesUnder('test').filter((file) => !isOtherProgram(file));
  if (!sources.some((file) => path.basename(file, '.cc') === name)) throw new Error(`there is no test program ${name}`);
  // Without optimization, which takes minutes with checks in unrolled loops. The checks left out find what the address sanitizer and
  // the processor find too.
  const checks = ['-fsanitize=address,undefined', '-fno-sanitize=null,object-size', '-fno-sanitize-recover=all'];
  const target = programTarget(sources, { link: [...(sanitize ? checks : []), ...(isStatic ? ['-static'] : [])] });
  return sanitize ? { ...target, flags: ['-O0', '-g', '-fno-omit-frame-pointer', ...checks] } : target;
}

/**
 * A program that links the kernels, such as a benchmark.
 * @param options.headers what its sources include besides the headers of the kernels
 */
export function programTarget(sources, { flags = [], link = [], headers = [] } = {}) {
  return {
    sources: [...kernelSources(), ...sources],
    headers,
    flags: SHARED_FLAGS,
    ownFlags: ['-g', ...flags],
    link: ['-pthread', ...link],
    variants: [[]],
    versions: [],
  };
}

const SHARED_FLAGS = ['-O3', '-fPIC', '-fvisibility=hidden', '-fvisibility-inlines-hidden'];
const SHARED_VARIANTS =
  process.platform === 'darwin' ? [['-undefined', 'dynamic_lookup']] : [['-static-libgcc', '-static-libstdc++'], []];

/**
 * The compiler as a command line, or the reason why there is none.
 * @param chosen the value of CXX, which may carry arguments; when set, no other compiler is tried
 */
export function findCompiler(chosen) {
  if (process.platform === 'win32') return { reason: 'native kernels are not built on Windows' };
  const candidates = chosen ? [chosen.trim().split(/\s+/)] : [['c++'], ['g++'], ['clang++']];
  const command = candidates.find(([program, ...rest]) => succeeds(program, [...rest, '--version']));
  if (command) return { command };
  const tried = candidates.map((candidate) => candidate.join(' ')).join(', ');
  return { reason: `no C++ compiler answers (tried ${tried}); install g++ or clang++, or name one in CXX` };
}

/** Debian's names of the compilers for other processors. */
const CROSS_COMPILERS = { arm64: 'aarch64-linux-gnu-g++', x64: 'x86_64-linux-gnu-g++' };

/** As findCompiler, for another processor. */
export function findCrossCompiler(chosen, arch) {
  if (chosen) return findCompiler(chosen);
  const program = CROSS_COMPILERS[arch];
  return succeeds(program, ['--version'])
    ? { command: [program] }
    : { reason: `no compiler for ${arch} answers (tried ${program}); install it, or name one in CXX` };
}

/**
 * A digest of what a target is made from; the same on another machine of the same kind. Paths are left out, so that a checkout may
 * be moved.
 */
export function targetKey(target, arch = process.arch) {
  const hash = createHash('sha256');
  const flags = [...target.flags, ...target.ownFlags].filter((flag) => !path.isAbsolute(flag));
  hash.update(JSON.stringify([process.platform, arch, flags, target.link, target.variants, target.versions]));
  for (const file of filesUnder(NATIVE_FOLDER, /\.(cc|h)$/)) hashFile(hash, file);
  for (const file of target.sources.filter((source) => !source.startsWith(NATIVE_FOLDER))) hashFile(hash, file);
  return hash.digest('hex').slice(0, 16);
}

/**
 * Compiles and links a target to `output`. Returns null, or the log of the first failure.
 * @param objects folder where objects are kept between builds
 * @param arch of the processor to compile for, as Node names it
 */
export async function compile(command, target, output, objects, arch = process.arch) {
  mkdirSync(objects, { recursive: true });
  const sets = knownSets(command, arch);
  const defines = Object.keys(sets).map((folder) => `-DTRITFORGE_BUILT_${folder.toUpperCase()}=1`);
  const common = [...LANGUAGE_FLAGS, ...target.flags, ...defines, `-I${INCLUDE_FOLDER}`, `-I${NATIVE_FOLDER}`];
  const headers = createHash('sha256').update(JSON.stringify([command, arch, versionOf(command)]));
  for (const file of filesUnder(NATIVE_FOLDER, /\.h$/)) hashFile(headers, file);
  const headerKey = headers.digest('hex');
  const jobs = [];
  for (const source of target.sources) {
    const folder = isaFolder(source);
    if (folder !== null && sets[folder] === undefined) continue;
    const flags = [...common, ...(sets[folder] ?? []), ...(isKernelSource(source) ? [] : target.ownFlags)];
    const key = createHash('sha256').update(JSON.stringify([headerKey, flags]));
    hashFile(key, source);
    if (!source.startsWith(NATIVE_FOLDER)) for (const file of target.headers ?? []) hashFile(key, file);
    jobs.push({ source, flags, object: path.join(objects, `${key.digest('hex').slice(0, 32)}.o`) });
  }
  const log = await compileAll(command, jobs);
  return log ?? link(command, target, jobs, output);
}

/** Whether the compiler can build a program at all as the target wants it, with its sanitizers or without shared libraries. */
export function canBuild([program, ...rest], target, output) {
  const args = [
    ...rest,
    ...LANGUAGE_FLAGS,
    ...target.flags,
    '-x',
    'c++',
    '-',
    ...target.link,
    ...target.variants.at(-1),
  ];
  return spawnSync(program, [...args, '-o', output], { input: 'int main() {}\n' }).status === 0;
}

async function compileAll([program, ...rest], jobs) {
  const waiting = jobs.filter(({ object }) => !markAsUsed(object));
  let log = null;
  const worker = async () => {
    for (let job = waiting.shift(); job !== undefined && log === null; job = waiting.shift()) {
      const temporary = `${job.object}.${randomUUID()}.tmp`;
      const { status, output } = await run(program, [...rest, ...job.flags, '-c', job.source, '-o', temporary]);
      if (status === 0) renameSync(temporary, job.object);
      else rmSync(temporary, { force: true });
      if (status !== 0) log ??= output;
    }
  };
  await Promise.all(Array.from({ length: os.availableParallelism() }, worker));
  return log;
}

async function link([program, ...rest], target, jobs, output) {
  let log = null;
  const objects = jobs.map(({ object }) => object);
  for (const variant of target.variants) {
    const result = await run(program, [...rest, ...objects, ...target.link, ...variant, '-o', output]);
    if (result.status === 0) return null;
    log ??= result.output;
  }
  return log;
}

/** Folders of kernels whose flags the compiler takes. */
function knownSets([program, ...rest], arch) {
  const sets = Object.entries(INSTRUCTION_SETS[arch] ?? {});
  const takes = (flags) =>
    spawnSync(program, [...rest, ...flags, '-fsyntax-only', '-x', 'c++', '-'], { input: 'int main() {}\n' }).status ===
    0;
  return Object.fromEntries(sets.filter(([, flags]) => takes(flags)));
}

/** Gives a file the date of now, which keeps it from being removed as unused. False if it is gone meanwhile. */
export function markAsUsed(file) {
  try {
    const now = new Date();
    utimesSync(file, now, now);
    return true;
  } catch {
    return false;
  }
}

function kernelSources() {
  return filesUnder(NATIVE_FOLDER, /\.cc$/).filter(isKernelSource);
}

function isKernelSource(file) {
  const [folder] = path.relative(NATIVE_FOLDER, file).split(path.sep);
  return folder !== '..' && !OTHER_FOLDERS.includes(folder);
}

function sourcesUnder(folder) {
  const absolute = path.join(NATIVE_FOLDER, folder);
  return existsSync(absolute) ? filesUnder(absolute, /\.cc$/) : [];
}

function isaFolder(source) {
  const folder = path.basename(path.dirname(source));
  return ISA_FOLDERS.includes(folder) ? folder : null;
}

function filesUnder(folder, pattern) {
  const names = readdirSync(folder, { recursive: true }).map(String);
  return names
    .filter((name) => pattern.test(name))
    .sort()
    .map((name) => path.join(folder, name));
}

function hashFile(hash, file) {
  hash.update(JSON.stringify(path.relative(NATIVE_FOLDER, file))).update(readFileSync(file));
}

function isystem(folders) {
  return folders.flatMap((folder) => ['-isystem', folder]);
}

/** node-addon-api quotes its folder for gyp. */
function unquoted(folder) {
  return folder.replaceAll('"', '');
}

function versionOf([program, ...rest]) {
  return spawnSync(program, [...rest, '--version'], { encoding: 'utf8' }).stdout;
}

function succeeds(program, args) {
  return spawnSync(program, args, { stdio: 'ignore' }).status === 0;
}

function run(program, args) {
  return new Promise((resolve) => {
    let output = '';
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    child.stdout.on('data', (text) => {
      output += text;
    });
    child.stderr.on('data', (text) => {
      output += text;
    });
    child.once('error', (error) => resolve({ status: -1, output: `${output}${error}` }));
    child.once('close', (status) => resolve({ status: status ?? -1, output }));
  });
}
