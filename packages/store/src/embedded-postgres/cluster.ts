import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { chown, lchown, lstat, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { TritforgeError } from '@tritforge/contracts';
import { canEnter, type ServerUser, spawnOptions, userName } from './server-user.js';

const execute = promisify(execFile);

/** The parts that creating, starting and stopping need. */
export interface Installation {
  readonly binDir: string;
  readonly dataDir: string;
  readonly user: ServerUser;
}

/** The superuser of embedded clusters. */
export const SUPERUSER = 'tritforge';
const PASSWORD_FILE = 'tritforge-password';

/** Where clusters and binaries go when the server's user cannot reach the place that was asked for. */
export const REACHABLE_PARENT = '/var/tmp';

/** The uid that owns a directory, or null when there is none. */
export async function ownerOf(dir: string): Promise<number | null> {
  return lstat(dir).then(
    (stats) => stats.uid,
    () => null,
  );
}

/**
 * Where the cluster of `dataDir` really lies: there, or, when the server's user cannot reach it, at a place in
 * {@link REACHABLE_PARENT} that is named by a hash of it and of our user.
 */
export async function locateCluster(dataDir: string, user: ServerUser): Promise<string> {
  if (await canEnter(user, path.dirname(dataDir))) return dataDir;
  const hash = createHash('sha256').update(`${process.getuid?.()}:${dataDir}`).digest('hex');
  return path.join(REACHABLE_PARENT, `tritforge-data-${hash.slice(0, 12)}`);
}

/** @throws TritforgeError SERVICE_UNAVAILABLE when the cluster belongs to somebody whom we cannot become. */
export async function checkOwner(dataDir: string, user: ServerUser): Promise<void> {
  const owner = await ownerOf(dataDir);
  const expected = user.ids?.uid ?? process.getuid?.() ?? owner;
  if (owner === null || owner === expected || !(await mayHold(path.join(dataDir, 'PG_VERSION')))) return;
  throw new TritforgeError(
    'SERVICE_UNAVAILABLE',
    `The database in ${dataDir} belongs to ${await userName(owner)}, and this process runs as ${user.name}.`,
    { remediation: 'Start the service as that user, choose another data directory, or set DATABASE_URL.' },
  );
}

/** Creates the cluster unless it exists; complete or not at all, whoever else tries at the same time. */
export async function ensureCluster({ binDir, dataDir, user }: Installation, ephemeral: boolean): Promise<void> {
  if (await exists(path.join(dataDir, 'PG_VERSION'))) return;
  await refuseForeignFiles(dataDir);
  const draft = await mkdtemp(`${dataDir}.new-`);
  try {
    await initialize({ binDir, dataDir: draft, user }, ephemeral);
    await rename(draft, dataDir).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
    });
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

/** An empty directory makes way for the cluster; one with other content is somebody's mistake. */
async function refuseForeignFiles(dataDir: string): Promise<void> {
  await mkdir(path.dirname(dataDir), { recursive: true });
  const names = await readdir(dataDir).catch(() => []);
  if (names.length === 0 || (await exists(path.join(dataDir, 'PG_VERSION')))) return;
  throw new TritforgeError('SERVICE_UNAVAILABLE', `${dataDir} holds files that are not a database.`, {
    remediation: 'Choose another data directory, or empty this one.',
  });
}

async function initialize({ binDir, dataDir: draft, user }: Installation, ephemeral: boolean): Promise<void> {
  const passwordFile = `${draft}.password`;
  const password = randomBytes(24).toString('base64url');
  await writeFile(passwordFile, `${password}\n`, { mode: 0o600, flag: 'wx' });
  try {
    if (user.ids) {
      await chown(draft, user.ids.uid, user.ids.gid);
      await lchown(passwordFile, user.ids.uid, user.ids.gid);
    }
    const login = ['-U', SUPERUSER, '--auth=scram-sha-256', `--pwfile=${passwordFile}`];
    const locale = ['--encoding=UTF8', '--locale=C', '--no-instructions', ...(ephemeral ? ['--no-sync'] : [])];
    await execute(path.join(binDir, 'bin/initdb'), ['-D', draft, ...login, ...locale], spawnOptions(user));
    await rename(passwordFile, path.join(draft, PASSWORD_FILE));
  } catch (cause) {
    const { stderr, message } = cause as { stderr?: string; message: string };
    throw new TritforgeError(
      'SERVICE_UNAVAILABLE',
      `A database could not be created in ${draft}: ${stderr || message}`,
      {
        remediation: 'Check free space and permissions of the data directory, or set DATABASE_URL.',
        cause,
      },
    );
  } finally {
    await rm(passwordFile, { force: true });
  }
}

/** The password of the cluster's superuser. */
export async function readPassword(dataDir: string): Promise<string> {
  return (await readFile(path.join(dataDir, PASSWORD_FILE), 'utf8')).trim();
}

/** Whether a file is there, or somewhere that we cannot look into. */
async function mayHold(file: string): Promise<boolean> {
  return stat(file).then(
    () => true,
    (error: NodeJS.ErrnoException) => error.code !== 'ENOENT',
  );
}

async function exists(file: string): Promise<boolean> {
  return stat(file).then(
    () => true,
    () => false,
  );
}
