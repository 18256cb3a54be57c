/**
 * The fault campaign: does things to a running service, round by round, and looks after each whether everything is as it must be.
 *
 *     npm run faults -- [--rounds 200] [--seed 1] [--storage folder|s3] [--queue postgres|redis] [--only KIND] [--round N] [--write]
 *
 * The seed decides what happens in each round; `--round` runs one of them alone. A round that finds something wrong ends the campaign with
 * exit code 1, and the folder of the service stays, with its logs and its database. `--write` replaces bench/results/faults.md, or
 * the page of other backends, such as faults-redis-s3.md. Ctrl-C shows what there is so far. Linux only.
 */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { runCampaign } from './campaign.js';
import { commandOf, pageNameOf, readOptions } from './options.js';
import { campaignPage, roundLine } from './page.js';
import { SIZES } from './plan.js';
import type { RoundResult } from './round.js';

const INTERRUPTED = 130;
const PAGES = new URL('../../bench/results/', import.meta.url);

async function main(): Promise<void> {
  const options = readOptions(process.argv.slice(2));
  if (process.platform !== 'linux' || spawnSync('prlimit', ['--version']).status !== 0) {
    throw new Error('The campaign needs Linux and prlimit, of util-linux.');
  }
  const numbers = Array.from({ length: options.rounds }, (_, index) => index + 1);
  const rounds = options.round === null ? numbers : [options.round];
  const stopping = new AbortController();
  process.once('SIGINT', () => stopping.abort());
  const startedMs = Date.now();
  let done = 0;
  const show = (result: RoundResult) => {
    done++;
    const leftMs = ((Date.now() - startedMs) / done) * (rounds.length - done);
    process.stdout.write(`${roundLine(result, rounds.at(-1)!, leftMs)}\n`);
  };
  const only = options.only === null ? null : [options.only];
  const campaign = { ...options, rounds, only, sizes: SIZES };
  const { rounds: results, keptDir } = await runCampaign(campaign, show, stopping.signal);
  // Of one that was ended early, the rounds that there were.
  const command = commandOf({ ...options, rounds: results.length }, options.round ?? undefined);
  const page = campaignPage(results, command, options);
  process.stdout.write(`\n${page}`);
  // The round that was under way has no end.
  if (stopping.signal.aborted) process.exit(INTERRUPTED);
  if (keptDir === null) {
    if (options.write) writeFileSync(fileURLToPath(new URL(pageNameOf(options), PAGES)), page);
    return;
  }
  const { round, wrong } = results.at(-1)!;
  for (const what of wrong) process.stderr.write(`WRONG in round ${round}: ${what}\n`);
  process.stderr.write(`Once more: ${commandOf(options, round)}\nWhat is left is in ${keptDir}.\n`);
  process.exitCode = 1;
}

try {
  await main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
  process.exitCode = 1;
}
