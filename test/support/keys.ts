import { ROLES, type Scope } from '@tritforge/contracts';
import { openAccess } from '@tritforge/store';
import type { Stack } from './stack.js';

/** Requests with the API key of a project, which is made where it is not there. */
export interface Client {
  readonly secret: string;
  readonly keyId: string;
  fetch(path: string, init?: RequestInit): Promise<Response>;
}

/** Makes a key in the database of the service, as `tritforge admin` does. @param expiresAt its end; none by default */
export async function clientOf(
  stack: Stack,
  projectName: string,
  scopes: readonly Scope[] = ROLES.admin,
  expiresAt: Date | null = null,
): Promise<Client> {
  const access = await openAccess(stack.databaseUrl);
  try {
    const known = (await access.projects.list()).find(({ name }) => name === projectName);
    const project = known ?? (await access.projects.create(projectName));
    const { key, secret } = await access.keys.create({ projectId: project.id, name: 'test', scopes, expiresAt });
    const authorization = `Bearer ${secret}`;
    return {
      secret,
      keyId: key.id,
      fetch: (path, init) =>
        stack.fetch(path, { ...init, headers: { ...(init?.headers as Record<string, string>), authorization } }),
    };
  } finally {
    await access.close();
  }
}

/** Ends a key, as `tritforge admin revoke-key` does. */
export async function revoke(stack: Stack, { keyId }: Client): Promise<void> {
  const access = await openAccess(stack.databaseUrl);
  try {
    await access.keys.revoke(keyId);
  } finally {
    await access.close();
  }
}
