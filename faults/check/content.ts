import { createHash } from 'node:crypto';
import type { Store } from '@tritforge/store';
import type { CheckContext } from './context.js';

const REFERENCES = `
  SELECT digest FROM model_files UNION SELECT digest FROM datasets UNION SELECT digest FROM artifact_files`;

/** Nothing acknowledged is lost: models and datasets are there, and the content of every row is what its digest says. */
export async function checkAcknowledged({ service, client, ledger }: CheckContext): Promise<string[]> {
  const wrong: string[] = [];
  const models = [...ledger.models].map((id) => `/models/${id}`);
  const datasets = [...ledger.datasets].map((id) => `/datasets/${id}`);
  for (const path of [...models, ...datasets]) {
    const { status } = await client.send(path);
    if (status !== 200) wrong.push(`${path} was acknowledged, and is answered ${status}`);
  }
  const { rows } = await service.db.query<{ digest: string }>(REFERENCES);
  return service.withStore(async ({ blobs }) => {
    for (const { digest } of rows) {
      const actual = await digestOf(blobs, digest);
      if (actual !== digest) wrong.push(`a row refers to ${digest}, and the storage has ${actual ?? 'nothing'} there`);
    }
    return wrong;
  });
}

/** The storage has what rows refer to, and nothing else. */
export async function checkOrphans({ service }: CheckContext): Promise<string[]> {
  const { rows } = await service.db.query<{ digest: string }>(REFERENCES);
  const referred = new Set(rows.map(({ digest }) => digest));
  return service.withStore(async ({ blobs }) => {
    const stored: string[] = [];
    for await (const digest of blobs.list()) stored.push(digest);
    return stored
      .filter((digest) => !referred.has(digest))
      .map((digest) => `the storage has ${digest}, and no row refers to it`);
  });
}

/** The digest of what the storage has under one; null where it has nothing. */
async function digestOf(blobs: Store['blobs'], digest: string): Promise<string | null> {
  const hash = createHash('sha256');
  try {
    for await (const chunk of blobs.open(digest)) hash.update(chunk);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
  return `sha256:${hash.digest('hex')}`;
}
