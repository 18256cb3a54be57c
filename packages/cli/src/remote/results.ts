import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TritforgeClient } from '@tritforge/client';
import { type Artifact, type Job, type Report, TritforgeError } from '@tritforge/contracts';
import type { CommandContext } from '../command-context.js';
import { openProgressDisplay } from '../output/progress-bar.js';
import { reportStem } from '../output/report-stem.js';

/**
 * Downloads what a job made: its artifacts, then the report, as JSON and as a page, as `tritforge quantize` leaves them.
 * @returns the paths of all files
 * @throws TritforgeError USAGE_INVALID when the folder cannot be made or written to, and the errors of the client
 */
export async function downloadResults(
  client: TritforgeClient,
  { id }: Job,
  report: Report,
  folder: string,
  { signal }: CommandContext,
): Promise<string[]> {
  const [artifacts, page] = [await client.jobs.artifacts(id, { signal }), await client.jobs.reportPage(id, { signal })];
  const paths: string[] = [];
  try {
    for (const artifact of artifacts) paths.push(...(await downloadShown(client, artifact, folder, signal)));
    const stem = join(folder, reportStem(report, id));
    await writeFile(`${stem}.report.json`, `${JSON.stringify(report, null, 2)}\n`);
    await writeFile(`${stem}.report.html`, page);
    return [...paths, `${stem}.report.json`, `${stem}.report.html`];
  } catch (error) {
    throw isOfFiles(error) ? cannotWrite(folder, error) : error;
  }
}

async function downloadShown(
  client: TritforgeClient,
  artifact: Artifact,
  folder: string,
  signal: AbortSignal,
): Promise<string[]> {
  const display = openProgressDisplay();
  const onProgress = (done: number, total: number) =>
    display.show({ phase: 'download', done, total, unit: 'bytes', etaSeconds: null });
  try {
    return await client.artifacts.download(artifact, folder, { signal, onProgress });
  } finally {
    display.close();
  }
}

/** What the file system refused has the name of a call. */
function isOfFiles(error: unknown): error is Error {
  return error instanceof Error && 'syscall' in error;
}

function cannotWrite(folder: string, error: Error): TritforgeError {
  return new TritforgeError('USAGE_INVALID', `Cannot write to ${folder}: ${error.message}.`, {
    remediation: 'Give a folder that you may write to as --out; a download goes on where it was.',
  });
}
