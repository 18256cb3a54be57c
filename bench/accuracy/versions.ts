/** What results depend on, as digests: a row that was measured on the same need not be measured again. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const ENGINE = 'packages/quant-core/dist';
/** What of the engine no result depends on. */
const UNRELATED = /\.test\.js$|^(testing|process)\//;
/** What else decides about artifacts and their accuracy. The lock file names the version of onnxruntime. */
const OTHERS = [
  'packages/contracts/dist/recipe.js',
  'bench/dist/accuracy/measure-one.js',
  'bench/dist/accuracy/compare-on-set.js',
  'bench/dist/shared-data/job-request.js',
  'package-lock.json',
];

/** Digest of the compiled code of the engine and of this measurement, and of the versions of dependencies. */
export async function codeDigest(): Promise<string> {
  const hash = createHash('sha256');
  for (const file of [...(await engineFiles()), ...OTHERS]) {
    hash.update(`${file}\0`).update(await readFile(path.join(root, file)));
  }
  return hash.digest('hex');
}

async function engineFiles(): Promise<string[]> {
  const names = await readdir(path.join(root, ENGINE), { recursive: true });
  return names
    .filter((name) => name.endsWith('.js') && !UNRELATED.test(name))
    .sort()
    .map((name) => `${ENGINE}/${name}`);
}

/** Digest of the contents of files, in their order. */
export async function dataDigest(files: readonly string[]): Promise<string> {
  const hash = createHash('sha256');
  for (const file of files)
    hash.update(
      createHash('sha256')
        .update(await readFile(file))
        .digest(),
    );
  return hash.digest('hex');
}

/** The commit of the checkout, with a + where files of these folders differ from it. */
export function commitName(folders: readonly string[] = ['packages', 'bench/accuracy']): string {
  const git = (...args: string[]) => execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim();
  try {
    const isChanged = git('status', '--porcelain', '--untracked-files=no', '--', ...folders) !== '';
    return `${git('rev-parse', '--short', 'HEAD')}${isChanged ? '+' : ''}`;
  } catch {
    return 'unknown';
  }
}
