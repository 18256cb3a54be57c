/** What `tritforge admin` does. */
import { type ApiKey, ROLES, type Role, type Scope } from '@tritforge/contracts';
import type { KnownKey } from '@tritforge/store';
import type { CommandContext } from '../command-context.js';
import { formatTable } from '../output/table.js';
import { withAccess } from './with-access.js';

export async function listProjects({ asJson }: CommandContext): Promise<void> {
  const projects = await withAccess((access) => access.projects.list());
  if (asJson) return print(JSON.stringify(projects));
  const rows = projects.map(({ name, id, createdAt }) => [name, id, createdAt]);
  print(formatTable([['project', 'id', 'created'], ...rows], ['left', 'left', 'left']));
}

export async function createProject(
  name: string,
  { storage }: { readonly storage?: number },
  { asJson }: CommandContext,
): Promise<void> {
  const project = await withAccess(async ({ projects, audit }) => {
    const made = await projects.create(name, storage);
    await audit.record({ ...byAdmin('create-project'), projectId: made.id, target: name });
    return made;
  });
  print(asJson ? JSON.stringify(project) : `Made the project ${project.name}, ${project.id}.`);
}

export async function listKeys({ project }: { project?: string }, { asJson }: CommandContext): Promise<void> {
  const known = await withAccess(async ({ projects, keys }) =>
    keys.list(project === undefined ? undefined : (await projects.byName(project)).id),
  );
  if (asJson) return print(JSON.stringify(known));
  const header = ['key', 'id', 'project', 'begins with', 'last used', 'priority', 'state', 'may'];
  print(
    formatTable(
      [header, ...known.map(keyRow)],
      header.map(() => 'left' as const),
    ),
  );
}

/** Of `create-key`. */
export interface KeyFlags {
  readonly project: string;
  readonly role: Role;
  /** In place of those of the role. */
  readonly scope?: readonly Scope[];
  readonly expires?: Date;
  readonly priority: number;
  readonly requestsPerMinute?: number;
  readonly concurrentJobs?: number;
  readonly jobMinutesPerDay?: number;
}

/** Prints the secret alone, so that a script can take it; everything else goes to standard error. */
export async function createKey(name: string, flags: KeyFlags, { asJson }: CommandContext): Promise<void> {
  const scopes = flags.scope ?? ROLES[flags.role];
  const { priority, requestsPerMinute, concurrentJobs, jobMinutesPerDay, expires: expiresAt } = flags;
  const limits = { requestsPerMinute, concurrentJobs, jobMinutesPerDay };
  const made = await withAccess(async ({ projects, keys, audit }) => {
    const project = await projects.byName(flags.project);
    const created = await keys.create({ projectId: project.id, name, scopes, priority, limits, expiresAt });
    await audit.record({ ...byAdmin('create-key'), projectId: project.id, target: created.key.id });
    return { project, ...created };
  });
  if (asJson) return print(JSON.stringify(made));
  const { key, project, secret } = made;
  const end = key.expiresAt === null ? 'never ends' : `ends ${key.expiresAt}`;
  process.stderr.write(
    `Made the key ${name}, ${key.id}, of the project ${project.name}. It may ${scopes.join(', ')} and ${end}.\nThis is its secret; it is shown once:\n`,
  );
  print(secret);
}

export async function revokeKey(id: string, { asJson }: CommandContext): Promise<void> {
  const key = await withAccess(async ({ keys, audit }) => {
    const { key: revoked, project } = await keys.revoke(id);
    await audit.record({ ...byAdmin('revoke-key'), projectId: project.id, target: id });
    return revoked;
  });
  print(asJson ? JSON.stringify(key) : `The key ${key.name}, ${key.id}, has been revoked since ${key.revokedAt}.`);
}

export async function listAudit({ asJson }: CommandContext): Promise<void> {
  const { items } = await withAccess((access) => access.audit.list({ limit: 200 }));
  if (asJson) return print(JSON.stringify(items));
  const header = ['at', 'project', 'key', 'action', 'target', 'status', 'from'];
  const rows = items.map(({ at, projectId, keyId, action, target, status, address }) => [
    at,
    projectId ?? '–',
    keyId ?? '–',
    action,
    target,
    String(status ?? '–'),
    address ?? '–',
  ]);
  print(
    formatTable(
      [header, ...rows],
      header.map(() => 'left' as const),
    ),
  );
}

function byAdmin(command: string) {
  return { action: `admin.${command}`, keyId: null, status: null, requestId: null, address: null };
}

function keyRow({ key, project }: KnownKey): string[] {
  const { name, id, prefix, lastUsedAt, scopes } = key;
  return [name, id, project.name, prefix, lastUsedAt ?? 'never', String(key.priority), stateOf(key), scopes.join(' ')];
}

function stateOf({ revokedAt, expiresAt }: ApiKey): string {
  if (revokedAt !== null) return `revoked ${revokedAt}`;
  if (expiresAt === null) return 'valid';
  return Date.parse(expiresAt) <= Date.now() ? `expired ${expiresAt}` : `until ${expiresAt}`;
}

function print(text: string): void {
  process.stdout.write(text.endsWith('\n') ? text : `${text}\n`);
}
