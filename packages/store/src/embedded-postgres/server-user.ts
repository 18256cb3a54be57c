import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import os from 'node:os';
import { promisify } from 'node:util';

const execute = promisify(execFile);

/** The user that the server runs as. PostgreSQL refuses to run as root. */
export interface ServerUser {
  readonly name: string;
  /** Set when it is another user than ours: processes are then started with these ids, and files given to them. */
  readonly ids: { readonly uid: number; readonly gid: number } | null;
}

/** Users that a server started by root may run as, the first that exists. */
const UNPRIVILEGED = ['postgres', 'nobody'];

interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

async function readAccounts(): Promise<Account[]> {
  const passwd = await readFile('/etc/passwd', 'utf8').catch(() => '');
  return passwd.split('\n').flatMap((line) => {
    const [name, , uid, gid] = line.split(':');
    return name && uid && gid ? [{ name, uid: Number(uid), gid: Number(gid) }] : [];
  });
}

/** The name of a user id, for messages. */
export async function userName(uid: number): Promise<string> {
  return (await readAccounts()).find((account) => account.uid === uid)?.name ?? `user ${uid}`;
}

/**
 * Who runs the server: ourselves, or, for root, the owner of the cluster that exists, else an unprivileged user. Null
 * when root finds none.
 *
 * @param clusterOwner uid of the cluster's owner, null when there is no cluster yet
 */
export async function chooseServerUser(clusterOwner: number | null): Promise<ServerUser | null> {
  const uid = process.getuid?.();
  if (uid !== 0) return { name: uid === undefined ? os.userInfo().username : await userName(uid), ids: null };
  const accounts = await readAccounts();
  const account =
    clusterOwner !== null && clusterOwner !== 0
      ? accounts.find(({ uid }) => uid === clusterOwner)
      : UNPRIVILEGED.map((name) => accounts.find((candidate) => candidate.name === name)).find(Boolean);
  return account ? { name: account.name, ids: { uid: account.uid, gid: account.gid } } : null;
}

/** Options for starting a process as the user, from a directory that everybody can enter and without our variables. */
export function spawnOptions(user: ServerUser) {
  return { ...user.ids, cwd: '/', env: { LC_ALL: 'C', PATH: '/usr/bin:/bin:/usr/sbin:/sbin' } };
}

/** Whether the user can enter a directory, with all that lies above it. */
export async function canEnter(user: ServerUser, dir: string): Promise<boolean> {
  if (user.ids === null) return true;
  return execute('/bin/sh', ['-c', 'cd "$0"', dir], spawnOptions(user)).then(
    () => true,
    () => false,
  );
}
