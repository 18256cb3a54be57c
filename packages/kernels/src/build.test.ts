import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { kernelInfo } from './index.js';
import { loadNativeKernels } from './native-kernels.js';

const buildScript = fileURLToPath(new URL('../build.mjs', import.meta.url));
const realBuild = fileURLToPath(new URL('../build/', import.meta.url));
const statusName = `status-${process.platform}-${process.arch}.json`;
const posixOnly = process.platform === 'win32' && 'native kernels are not built on Windows';
const needsAddon = kernelInfo().implementation === 'fallback' && (kernelInfo().reason ?? true);

describe('building the native kernels', { skip: posixOnly }, () => {
  let folder: string;
  let out: string;
  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'tritforge-build-'));
    out = path.join(folder, 'build');
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const build = (compiler: string, ...options: string[]) =>
    spawnSync(process.execPath, [buildScript, '--out', out, ...options], {
      encoding: 'utf8',
      env: { ...process.env, CXX: compiler },
    });

  /**
   * A stand-in for a compiler: answers --version, knows every flag, and for other calls writes down what it was asked for, then runs
   * one of two scripts with the last argument, the output, as $last.
   */
  const fakeCompiler = ({ compile = ': > "$last"', link = ': > "$last"' }): string => {
    const file = path.join(folder, 'compiler');
    const text = `#!/bin/sh
compiles=
for last; do
  case "$last" in
    --version | -fsyntax-only) exit 0 ;;
    -c) compiles=yes ;;
  esac
done
if [ -n "$compiles" ]; then
  echo compile >> '${folder}/calls'
  ${compile}
else
  echo link >> '${folder}/calls'
  ${link}
fi
`;
    writeFileSync(file, text);
    chmodSync(file, 0o755);
    return file;
  };
  /** Gives the addon that was built already, slowly enough that builds overlap. */
  const copyingCompiler = () => {
    const { addon } = JSON.parse(readFileSync(path.join(realBuild, statusName), 'utf8'));
    return fakeCompiler({ link: `sleep 0.2; cp '${path.join(realBuild, addon)}' "$last"` });
  };
  const calls = (what: 'compile' | 'link') =>
    readFileSync(path.join(folder, 'calls'), 'utf8').match(new RegExp(`^${what}$`, 'gm'))?.length ?? 0;
  const objects = () => readdirSync(path.join(out, 'objects'));
  const status = () => JSON.parse(readFileSync(path.join(out, statusName), 'utf8'));

  it('without a compiler says so, ends well and leaves the reason to the loader', () => {
    const { status: exitCode, stderr } = build('no-such-compiler');
    assert.equal(exitCode, 0);
    assert.match(stderr, /no C\+\+ compiler answers \(tried no-such-compiler\).*those in TypeScript serve/);
    assert.throws(() => loadNativeKernels(pathToFileURL(`${out}/`)), { message: /^no C\+\+ compiler answers/ });
  });

  it('without a compiler fails when native kernels are required', () => {
    assert.equal(build('no-such-compiler', '--require').status, 1);
  });

  it('shows the log of a failed compilation and falls back', () => {
    const compiler = fakeCompiler({ compile: 'echo "addon.cc:1: error: broken" >&2; exit 1' });
    const { status: exitCode, stderr } = build(compiler);
    assert.equal(exitCode, 0);
    assert.match(stderr, /addon\.cc:1: error: broken\nkernels: not built: .* failed to compile/);
    assert.equal(status().addon, null);
    assert.deepEqual(objects(), []);
    assert.equal(build(compiler, '--require').status, 1);
    assert.equal(calls('link'), 0);
  });

  it('shows the log of a failed link and falls back', () => {
    const { status: exitCode, stderr } = build(fakeCompiler({ link: 'echo "undefined reference" >&2; exit 1' }));
    assert.equal(exitCode, 0);
    assert.match(stderr, /undefined reference\nkernels: not built: .* failed to compile/);
    assert.equal(status().addon, null);
  });

  it('does not publish an addon that cannot be loaded', () => {
    const { stderr } = build(fakeCompiler({ link: 'echo garbage > "$last"' }));
    assert.match(stderr, /the compiled addon cannot be loaded/);
    assert.deepEqual(readdirSync(out), ['objects', statusName]);
  });

  it('skips an addon that is up to date, and needs no compiler for that', { skip: needsAddon }, () => {
    const compiler = copyingCompiler();
    assert.match(build(compiler).stdout, /built native kernels/);
    assert.match(build(compiler).stdout, /up to date/);
    assert.equal(calls('link'), 1);
    assert.match(build('no-such-compiler').stdout, /up to date/);
    assert.match(build(compiler, '--force').stdout, /built native kernels/);
    assert.equal(calls('link'), 2);
  });

  it('compiles each source once, and again only those whose object is gone', { skip: needsAddon }, () => {
    const compiler = copyingCompiler();
    build(compiler);
    const count = objects().length;
    assert.equal(calls('compile'), count);
    assert.ok(count > 10, `${count} objects`);
    rmSync(path.join(out, 'objects', objects()[0]!));
    build(compiler, '--force');
    assert.equal(calls('compile'), count + 1);
    assert.equal(objects().length, count);
  });

  it('removes objects that no build has used for a week, and keeps those in use', { skip: needsAddon }, () => {
    const compiler = copyingCompiler();
    build(compiler);
    const current = objects();
    const age = (name: string, days: number) => {
      const date = new Date(Date.now() - days * 24 * 3_600_000);
      utimesSync(path.join(out, 'objects', name), date, date);
    };
    for (const name of ['old.o', 'recent.o']) writeFileSync(path.join(out, 'objects', name), '');
    age('old.o', 8);
    age('recent.o', 6);
    for (const name of current) age(name, 8);
    build(compiler, '--force');
    assert.deepEqual(objects(), [...current, 'recent.o'].sort());
    assert.equal(calls('compile'), current.length);
  });

  it('rebuilds an addon that no longer loads, and removes those of other sources', { skip: needsAddon }, () => {
    const compiler = copyingCompiler();
    build(compiler);
    const { addon } = status();
    const old = addon.replace(/[0-9a-f]{16}/, '0000000000000000');
    writeFileSync(path.join(out, addon), 'damaged');
    writeFileSync(path.join(out, old), 'other sources');
    assert.match(build(compiler).stdout, /built native kernels/);
    assert.deepEqual(readdirSync(out).sort(), [addon, 'objects', statusName].sort());
    loadNativeKernels(pathToFileURL(`${out}/`));
  });

  it('gives a whole addon when several builds run at once', { skip: needsAddon }, async () => {
    const env = { ...process.env, CXX: copyingCompiler() };
    const builds = Array.from({ length: 4 }, () => spawn(process.execPath, [buildScript, '--out', out], { env }));
    assert.deepEqual(await Promise.all(builds.map(exitCodeOf)), [0, 0, 0, 0]);
    assert.deepEqual(readdirSync(out).sort(), [status().addon, 'objects', statusName].sort());
    loadNativeKernels(pathToFileURL(`${out}/`));
  });

  it('says so and ends well where it may not write', () => {
    writeFileSync(out, 'a file where the folder should be');
    const { status: exitCode, stderr } = build('c++');
    assert.equal(exitCode, 0);
    assert.match(stderr, /kernels: not built: .*(EEXIST|ENOTDIR)/);
  });
});

function exitCodeOf(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve) => {
    child.once('close', resolve);
  });
}
