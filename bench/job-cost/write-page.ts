import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const RESULTS = fileURLToPath(new URL('../../results/', import.meta.url));

/**
 * Measures in a folder that is removed afterwards, and prints the page.
 * @param name of the benchmark: with `write` the page replaces bench/results/<name>.md
 */
export async function writePage(name: string, write: boolean, measure: (folder: string) => Promise<string>) {
  const folder = await mkdtemp(join(tmpdir(), `tritforge-${name}-`));
  try {
    const page = await measure(folder);
    process.stdout.write(page);
    if (write) await writeFile(join(RESULTS, `${name}.md`), page);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
