import { readFile } from 'node:fs/promises';
import { gunzipSync } from 'node:zlib';
import { writeNpz } from '@tritforge/quant-core';

const CALIBRATION_STORIES = 32;
/** What metrics skip: there is no next token behind the end of a story. */
const IGNORED = -1n;

/** Where sets of stories go. */
interface StoryFiles {
  readonly calibration: string;
  /** All stories, those for calibration too: the recorded perplexity of the model is over all. */
  readonly evaluation: string;
  /** The stories that do not calibrate. */
  readonly unseen: string;
}

/** Stories as token ids and, as labels, the token that follows each; short ones are padded with 0. */
export async function stories(source: string, { calibration, evaluation, unseen }: StoryFiles): Promise<void> {
  const all = JSON.parse(gunzipSync(await readFile(source)).toString()) as number[][];
  await writeStories(all.slice(0, CALIBRATION_STORIES), calibration);
  await writeStories(all, evaluation);
  await writeStories(all.slice(CALIBRATION_STORIES), unseen);
}

async function writeStories(all: readonly (readonly number[])[], target: string): Promise<void> {
  const length = Math.max(...all.map((story) => story.length)) - 1;
  const tokens = new BigInt64Array(all.length * length);
  const labels = new BigInt64Array(all.length * length).fill(IGNORED);
  for (const [i, story] of all.entries()) {
    tokens.set(story.slice(0, -1).map(BigInt), i * length);
    labels.set(story.slice(1).map(BigInt), i * length);
  }
  const shape = [all.length, length];
  await writeNpz(
    target,
    new Map([
      ['tokens', { dtype: 'int64', shape, data: tokens }],
      ['labels', { dtype: 'int64', shape, data: labels }],
    ]),
  );
}
