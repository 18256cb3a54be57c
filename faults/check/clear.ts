import { countRows } from '#test/support/footprint';
import { checkOrphans } from './content.js';
import type { CheckContext } from './context.js';
import { expire } from './pass-time.js';

/** What is there beside the keepsake once everything of a round is deleted: nothing. Other tables remember what was. */
const EMPTY = ['datasets', 'uploads'];
/** And of these the one row of the keepsake. */
const SINGLE = ['jobs', 'job_reports', 'artifacts', 'artifact_files', 'models', 'model_files'];

/** Deletes all of a round through the API, save what expires, and looks whether anything of it is left. */
export async function clearRound(context: CheckContext): Promise<string[]> {
  const { service } = context;
  const late = await expire(service);
  const refused = [
    ...(await deleteAll(context, 'jobs', context.keepsake.id)),
    ...(await deleteAll(context, 'models', await modelOf(context))),
    ...(await deleteAll(context, 'datasets', '')),
  ];
  const rows = await countRows(service.db);
  const left = [...EMPTY.map((table) => [table, 0] as const), ...SINGLE.map((table) => [table, 1] as const)]
    .filter(([table, count]) => rows[table] !== count)
    .map(([table, count]) => `${table} has ${rows[table]} rows in place of ${count} when everything is deleted`);
  return [...late, ...refused, ...left, ...(await checkOrphans(context))];
}

async function modelOf({ service, keepsake }: CheckContext): Promise<string> {
  const query = 'SELECT model_id FROM jobs WHERE id = $1';
  const { rows } = await service.db.query<{ model_id: string }>(query, [keepsake.id]);
  return rows[0]?.model_id ?? '';
}

async function deleteAll(
  { service, client }: CheckContext,
  table: 'jobs' | 'models' | 'datasets',
  kept: string,
): Promise<string[]> {
  const { rows } = await service.db.query<{ id: string }>(`SELECT id FROM ${table} WHERE id <> $1`, [kept]);
  const refused: string[] = [];
  for (const { id } of rows) {
    const path = `/${table}/${id}`;
    const answer = await client.send(path, { method: 'DELETE' });
    if (answer.status !== 204) refused.push(`DELETE ${path} is answered ${answer.status} ${await answer.text()}`);
  }
  return refused;
}
