/** A process for tests that kill it, or that need another user: starts a server and prints what became of it. */
import { startEmbeddedPostgres } from '../embedded-postgres/index.js';

const [dataDir = '', mode = ''] = process.argv.slice(2);
const [, uid] = /^as-(\d+)$/.exec(mode) ?? [];
if (uid !== undefined) {
  // Only now: another user may not reach the files of this program.
  process.setgroups!([]);
  process.setgid!(Number(uid));
  process.setuid!(Number(uid));
}
try {
  const { pid } = await startEmbeddedPostgres({ dataDir, ephemeral: mode === 'ephemeral' });
  process.stdout.write(`${JSON.stringify({ pid })}\n`);
  setInterval(() => {}, 1000);
} catch (error) {
  process.stdout.write(`${JSON.stringify({ message: (error as Error).message })}\n`);
}
