import { markdownTable } from '../shared/markdown-table.js';
import type { Latencies } from './latencies.js';
import {
  type Answers,
  type JobFate,
  type MemorySample,
  newestRows,
  type QueueRow,
  type RateRow,
  type SaturationRow,
  type ServiceRow,
  type SoakRow,
  type StreamsRow,
} from './rows.js';
import { trendOf } from './trend.js';

/** What submissions at a rate are to stay below. */
const GOAL_P99_MS = 50;
/** Caches fill while a process is young. */
const YOUNG_SECONDS = 120;
const LATENCY_HEADER = ['p50, ms', 'p99, ms', 'max, ms', 'other answers'];

/** A page of the newest row of each load. */
export function servicePage(all: readonly ServiceRow[]): string {
  const rows = newestRows(all);
  const of = <Part extends ServiceRow['part']>(part: Part) =>
    rows.filter((row): row is Extract<ServiceRow, { part: Part }> => row.part === part);
  const sections = [
    saturation(of('saturation')),
    rates(of('rate')),
    queue(of('queue')),
    ...of('streams').map(streams),
    ...of('soak').map(soak),
  ];
  return `${head(rows)}\n${sections.filter((section) => section !== '').join('\n')}`;
}

function head(rows: readonly ServiceRow[]): string {
  const known = <T>(of: (row: ServiceRow) => T) => [...new Set(rows.map(of))].join(', ');
  const load = Math.max(0, ...rows.map((row) => row.load));
  return `# Load on the service

\`npm run bench -- service --write\` on ${known(({ cpu }) => cpu)}, ${known(({ cores }) => cores)} cores, Node ${known(({ node }) => node)}, commit ${known(({ commit }) => commit)}; the
rows are in [service.jsonl](service.jsonl). Up to ${load.toFixed(1)} processes wanted to run in the minute before a row was written, those of the benchmark included.

API, workers, PostgreSQL, the engine and the process that sends requests share these cores, so every figure is what is left for one when
the others have theirs: more processes do not make more of them. The service is as it comes, with the embedded PostgreSQL, which waits for the
disk, and a folder for files; requests come over loopback with an API key that has no limits, those that create jobs with an Idempotency-Key each, and several API processes have a port each, to which
requests go in turn. Jobs quantize a network of 47,000 parameters to ternary weights and 8-bit activations with 16 calibration samples.
"Other answers" are all that were not as they were meant, and no part of the latencies; "before" has those of the warm-up, the first seconds of processes that
have just started, at the full load. A lost job is one that was accepted and has not ended when the row is written.
`;
}

function saturation(rows: readonly SaturationRow[]): string {
  if (rows.length === 0) return '';
  const lines = rows.map((row) => [
    row.request,
    String(row.apis),
    String(row.workers),
    (row.answered / row.seconds).toFixed(0),
    ...latencyCells(row),
    row.jobs === null ? '' : fate(row.jobs),
  ]);
  const [{ connections, seconds }] = rows as [SaturationRow];
  return `## At most

${connections} connections, each of which sends its next request when it has the answer to the last one, for ${seconds.toFixed(0)} seconds. Status
polls ask for a job that has ended and downloads for its artifact, while no job runs. Submissions name a model and a dataset that are stored; workers run what
they can of them meanwhile, and what is left is canceled.

${markdownTable(['requests', 'APIs', 'workers', 'per second', ...LATENCY_HEADER, 'jobs'], lines)}
`;
}

function rates(rows: readonly RateRow[]): string {
  if (rows.length === 0) return '';
  const lines = rows.map((row) => [
    row.queue,
    String(row.apis),
    String(row.workers),
    String(row.perSecond),
    ...latencyCells(row),
    isKept(row) ? 'kept' : 'MISSED',
    fate(row.jobs),
  ]);
  const [{ seconds }] = rows as [RateRow];
  const header = ['queue', 'APIs', 'workers', 'per second', ...LATENCY_HEADER, `p99 below ${GOAL_P99_MS} ms`, 'jobs'];
  return `## Submissions at a rate

Requests leave on schedule for ${seconds.toFixed(0)} seconds, whether earlier ones are answered or not, and latencies count from the time on the schedule. They wait in the
queue, which gets as long as there are seconds; a worker, where there is one, runs what it can; its jobs yield the cores to whoever wants them. What is left is canceled in the end.

${markdownTable(header, lines)}
`;
}

function isKept({ latencies, failures }: RateRow): boolean {
  return latencies !== null && latencies.p99Ms < GOAL_P99_MS && Object.keys(failures).length === 0;
}

function queue(rows: readonly QueueRow[]): string {
  if (rows.length === 0) return '';
  const lines = rows.map((row) => [
    row.step,
    String(row.waiting),
    String(row.answered),
    (row.answered / row.seconds).toFixed(1),
    ...latencyCells(row),
    row.jobs === null ? '' : fate(row.jobs),
  ]);
  return `## A long queue

One API process, jobs of four keys, the queue in PostgreSQL. Steps with a rate are as above; the others are done by eight connections, and claims by one after the other, as workers
take turns. No worker runs before the last step.

${markdownTable(['step', 'jobs that wait', 'answers', 'per second', ...LATENCY_HEADER, 'jobs'], lines)}
`;
}

function streams({ projectStreams, jobStreams, jobs, received, wrongStreams, delays, apiBytes }: StreamsRow): string {
  const mb = (bytes: number) => (bytes / 1e6).toFixed(0);
  const all = projectStreams + jobStreams;
  return `## Streams of events

${projectStreams} streams of all jobs and ${jobStreams} of one job each, open at once at one API process while one worker runs ${jobs.accepted} jobs. They received ${received} events;
${wrongStreams === 0 ? `each of the ${all} streams got exactly those of the log, once and in its order` : `${wrongStreams} of the ${all} streams did NOT get those of the log`}. The delay is from the writing of an event,
just before its commit, to its arrival; the service looks for events five times a second at most.

${markdownTable(
  ['delay p50, ms', 'p99, ms', 'max, ms', 'memory of the API before, MB', 'with the streams', 'at most', 'jobs'],
  [[...threeOf(delays), mb(apiBytes.before), mb(apiBytes.open), mb(apiBytes.most), fate(jobs)]],
)}
`;
}

function soak(row: SoakRow): string {
  const lines = (['api', 'worker', 'postgres'] as const).map((role) => memoryLine(role, row.samples));
  const problems =
    row.problems.length === 0
      ? 'Nothing went wrong.'
      : `What went wrong:\n\n${row.problems.map((problem) => `- ${problem}`).join('\n')}`;
  return `## ${row.minutes} minutes of a steady mix

Every four seconds a pipeline begins: it uploads a model and a dataset (half of them in one form with the job), waits for the job (a third by its stream), downloads the artifact and
compares its digest; three of four then delete job, model and dataset. Meanwhile jobs are listed and looked at five times a second. One API process,
one worker. ${row.pipelines} pipelines, ${row.downloads} downloads, ${row.streams} streams, ${row.deleted} jobs deleted, ${row.polls} looks at ${threeOf(row.pollLatencies).join(' / ')} ms (p50 / p99 / max); jobs: ${fate(row.jobs)}. ${problems}

Memory is sampled every ten seconds, and the slope is that of a line through what came after the first two minutes. Resident memory; of pages that the processes of PostgreSQL share
each counts once.

${markdownTable(['process', 'first, MB', 'last, MB', 'least to most, MB', 'slope, MB per hour'], lines)}
`;
}

const ROLES = { api: 'API', worker: 'worker', postgres: 'PostgreSQL' } as const;

function memoryLine(role: keyof typeof ROLES, samples: readonly MemorySample[]): string[] {
  const grown = samples.filter(({ seconds }) => seconds >= YOUNG_SECONDS);
  const counted = grown.length >= 3 ? grown : [];
  const megabytes = counted.map((sample) => sample[role] / 1e6);
  const [first, last] = [megabytes[0], megabytes.at(-1)];
  if (first === undefined || last === undefined) return [ROLES[role], '', '', '', 'too short'];
  const { slope, slopeError } = trendOf(counted.map((sample) => [sample.seconds / 3600, sample[role] / 1e6]));
  return [
    ROLES[role],
    first.toFixed(1),
    last.toFixed(1),
    `${Math.min(...megabytes).toFixed(1)}–${Math.max(...megabytes).toFixed(1)}`,
    `${slope.toFixed(1)} ± ${slopeError.toFixed(1)}`,
  ];
}

function latencyCells({ latencies, failures, warmUpFailures }: Answers): string[] {
  const others = counted(failures) || 'none';
  const before = counted(warmUpFailures);
  return [...threeOf(latencies), before === '' ? others : `${others} (before: ${before})`];
}

function counted(failures: Answers['failures']): string {
  return Object.entries(failures)
    .map(([failure, count]) => `${count} × ${failure}`)
    .join(', ');
}

function threeOf(latencies: Latencies | null): string[] {
  if (latencies === null) return ['', '', ''];
  return [latencies.p50Ms, latencies.p99Ms, latencies.maxMs].map((ms) => ms.toFixed(1));
}

function fate({ accepted, states, lost }: JobFate): string {
  const counts = Object.entries(states).map(([state, count]) => `${count} ${state}`);
  return `${accepted} accepted: ${counts.join(', ')}; ${lost === 0 ? 'none lost' : `${lost} LOST`}`;
}
