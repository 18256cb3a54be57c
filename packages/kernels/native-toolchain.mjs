/** Finds a C++ compiler, names what it is to compile, and runs it. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const NATIVE_FOLDER = path.join(import.meta.dirname, 'src', 'native');
const INCLUDE_FOLDER = path.join(NATIVE_FOLDER, 'include');
const LANGUAGE_FLAGS = ['-std=c++20', '-Wall', '-Wextra'];

/**
 * What to compile for one target: its compiler arguments without the output, and a key that changes when the result
 * would. `variants` are tried in turn: a distribution may lack the static C++ library.
 */
export function addonTarget() {
  const require = createRequire(import.meta.url);
  const headers = [require('node-addon-api').include_dir, require('node-api-headers').include_dir].map(unquoted);
  const versions = ['node-addon-api', 'node-api-headers'].map((name) => require(`${name}/package.json`).version);
  const flags = ['-O3', '-fPIC', '-shared', '-fvisibility=hidden', '-pthread', '-DNAPI_VERSION=8'];
  const variants =
    process.platform === 'darwin' ? [['-undefined', 'dynamic_lookup']] : [['-static-libgcc', '-static-libstdc++'], []];
  return target({
    flags: [...LANGUAGE_FLAGS, ...flags, '-DNAPI_CPP_EXCEPTIONS'],
    includes: headers.flatMap((folder) => ['-isystem', folder]),
    sources: sourcesIn('.'),
    variants,
    versions,
  });
}

/** The sanitized C++ test: the kernels without Node, and the program that runs them. */
export function sanitizedTestTarget() {
  const flags = ['-O1', '-g', '-fno-omit-frame-pointer', '-fsanitize=address,undefined', '-fno-sanitize-recover=all'];
  return target({
    flags: [...LANGUAGE_FLAGS, ...flags],
    includes: [],
    sources: [path.join(NATIVE_FOLDER, 'reference_gemm.cc'), ...sourcesIn('test')],
    variants: [[]],
    versions: [],
  });
}

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

/** Compiles a target to `output`. Returns null, or the log of the first failure. */
export function compile(command, { flags, sources, variants }, output) {
  const [program, ...rest] = command;
  let log = null;
  for (const variant of variants) {
    const result = spawnSync(program, [...rest, ...flags, ...sources, ...variant, '-o', output], { encoding: 'utf8' });
    if (result.status === 0) return null;
    log ??= `${result.stdout ?? ''}${result.stderr ?? ''}${result.error ?? ''}`;
  }
  return log;
}

/** The key leaves paths out, so that a checkout may be moved. */
function target({ flags, includes, sources, variants, versions }) {
  const hash = createHash('sha256');
  hash.update(JSON.stringify([process.platform, process.arch, flags, variants, versions]));
  for (const name of readdirSync(NATIVE_FOLDER, { recursive: true }).map(String).sort()) {
    if (!/\.(cc|h)$/.test(name)) continue;
    hash.update(JSON.stringify(name)).update(readFileSync(path.join(NATIVE_FOLDER, name)));
  }
  return {
    flags: [...flags, `-I${INCLUDE_FOLDER}`, ...includes],
    sources,
    variants,
    key: hash.digest('hex').slice(0, 16),
  };
}

function sourcesIn(folder) {
  return readdirSync(path.join(NATIVE_FOLDER, folder))
    .filter((name) => name.endsWith('.cc'))
    .sort()
    .map((name) => path.join(NATIVE_FOLDER, folder, name));
}

/** node-addon-api quotes its folder for gyp. */
function unquoted(folder) {
  return folder.replaceAll('"', '');
}

function succeeds(program, args) {
  return spawnSync(program, args, { stdio: 'ignore' }).status === 0;
}
