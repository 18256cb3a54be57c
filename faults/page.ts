/** What a campaign shows: a line for each round, and a page with a table in the end. */
import { execFileSync } from 'node:child_process';
import os from 'node:os';
import type { JobState } from '@tritforge/contracts';
import { markdownTable } from '#bench/shared/markdown-table';
import { FAULT_KINDS, type FaultKind } from './fault-kinds.js';
import type { DoneFault, RoundResult } from './round.js';
import type { Backends } from './service/foundation.js';

const SHOWN_STATES: readonly JobState[] = ['succeeded', 'canceled', 'expired', 'failed'];
const HEADER = [
  'fault',
  'what it is',
  'rounds',
  'jobs',
  ...SHOWN_STATES,
  'further attempts',
  'requests sent again',
  'median, s',
  'longest, s',
];

/** The line of a round, without the end of it. @param leftMs how long the others will take */
export function roundLine(result: RoundResult, last: number, leftMs: number): string {
  const { round, faults, jobs, durationMs, wrong } = result;
  const states = [...counted(jobs.map(({ state }) => state))].map(([state, count]) => `${count} ${state}`);
  return [
    `round ${`${round}`.padStart(`${last}`.length)}/${last}`,
    wrong.length === 0 ? 'ok' : 'WRONG',
    `${seconds(durationMs)} s`,
    faults.map(describeFault).join(', '),
    `${jobs.length} jobs: ${states.join(', ')}`,
    `${Math.ceil(leftMs / 60_000)} min left`,
  ].join('  ');
}

function describeFault({ plan: { kind, way }, moment }: DoneFault): string {
  return way === 'once' ? `${kind} ${moment}` : `${kind} (${way}) ${moment}`;
}

/** The page of a campaign whose rounds are all well, or of which the last one is not. */
export function campaignPage(rounds: readonly RoundResult[], command: string, { queue, storage }: Backends): string {
  const kinds = (Object.keys(FAULT_KINDS) as FaultKind[]).filter((kind) => withKind(rounds, kind).length > 0);
  const failures = merged(rounds.map(({ attempts }) => attempts.failures));
  const errors = counted(rounds.flatMap(({ jobs }) => jobs.flatMap(({ code }) => code ?? [])));
  const rows = kinds.map((kind) => row(`\`${kind}\``, FAULT_KINDS[kind].meaning, withKind(rounds, kind)));
  const wrong = rounds.flatMap((round) => round.wrong.map((what) => `- round ${round.round}: ${what}`));
  return `# Fault campaign

\`${command}\` on ${os.cpus()[0]?.model.trim() ?? 'an unknown CPU'}, Node ${process.version}, commit ${commit()}. Two API processes and two workers,
jobs dispatched by ${queue === 'redis' ? 'Redis' : 'PostgreSQL'}, files in ${storage === 's3' ? 'a bucket' : 'a folder'}.

Each round has jobs on small models, sent by clients that repeat every request blindly, and one to three faults at moments that the seed
chooses. When it is over every accepted job has ended exactly once, by its row, its log and its webhook; every artifact downloads with its
digest, is loaded by onnxruntime and is byte for byte what the same work gave before; nothing acknowledged is lost; and after the sweep
no blob, row, scratch file, lease, lock, delivery or process is left. **${wrong.length === 0 ? `All of it holds in all ${rounds.length} rounds.` : `NOT in these ${rounds.length} rounds:`}**
${wrong.length === 0 ? '' : `\n${wrong.join('\n')}\n`}
A round counts for each kind of fault that it had.

${markdownTable(HEADER, [...rows, row('all', '', rounds)])}

Jobs that ended with an error: ${list(errors)}. Requests of clients that failed and were sent again: ${list(failures)}.
`;
}

const withKind = (rounds: readonly RoundResult[], kind: FaultKind): RoundResult[] =>
  rounds.filter(({ faults }) => faults.some(({ plan }) => plan.kind === kind));

function row(name: string, meaning: string, rounds: readonly RoundResult[]): string[] {
  const jobs = rounds.flatMap((round) => round.jobs);
  const states = SHOWN_STATES.map((shown) => jobs.filter(({ state }) => state === shown));
  const durations = rounds.map(({ durationMs }) => durationMs).sort((a, b) => a - b);
  return [
    name,
    meaning,
    ...[rounds, jobs, ...states].map(({ length }) => `${length}`),
    `${sum(jobs.map(({ attempts }) => Math.max(0, attempts - 1)))}`,
    `${sum(rounds.map(({ attempts }) => attempts.again))}`,
    seconds(durations[Math.floor(durations.length / 2)] ?? 0),
    seconds(durations.at(-1) ?? 0),
  ];
}

const seconds = (durationMs: number): string => (durationMs / 1000).toFixed(1);
const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

function counted(names: readonly string[]): Map<string, number> {
  return merged(names.map((name) => new Map([[name, 1]])));
}

function merged(counts: readonly ReadonlyMap<string, number>[]): Map<string, number> {
  const all = new Map<string, number>();
  for (const [name, count] of counts.flatMap((some) => [...some])) all.set(name, (all.get(name) ?? 0) + count);
  return all;
}

function list(counts: ReadonlyMap<string, number>): string {
  const sorted = [...counts].sort(([, a], [, b]) => b - a);
  return sorted.length === 0 ? 'none' : sorted.map(([name, count]) => `${name} ${count}`).join(', ');
}

function commit(): string {
  try {
    const git = (...args: string[]) => execFileSync('git', args, { cwd: import.meta.dirname, encoding: 'utf8' }).trim();
    return git('rev-parse', '--short', 'HEAD') + (git('status', '--porcelain') === '' ? '' : '+');
  } catch {
    return 'unknown';
  }
}
