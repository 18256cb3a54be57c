/** A process for tests that kill it, or that need another user: starts a server and prints what became of it. */
import { startEmbeddedPostgres } from '../embedded-postgres/index.js';

const [dataDir = '', ephemeral] = process.argv.slice(2);
try {
  const { pid } = await startEmbeddedPostgres({ dataDir, ephemeral: ephemeral === 'ephemeral' });
  process.stdout.write(`${JSON.stringify({ pid })}\n`);
  setInterval(() => {}, 1000);
} catch (error) {
  process.stdout.write(`${JSON.stringify({ message: (error as Error).message })}\n`);
}
