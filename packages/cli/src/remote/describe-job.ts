import type { Job } from '@tritforge/contracts';
import { formatNumber } from '@tritforge/report-html/figures';
import { formatDuration } from '../output/duration.js';
import { formatTable } from '../output/table.js';

/** A job in words. */
export function describeJob(job: Job): string {
  const { id, state, phase, progress, queuePosition, estimate, gates, error, artifactIds } = job;
  const rows = [
    ['job', id],
    ['state', state],
    ...(phase === null ? [] : [['phase', phase]]),
    ...(progress === null
      ? []
      : [['progress', `${progress.done}/${progress.total} ${progress.unit}${left(progress.etaSeconds)}`]]),
    ...(queuePosition === null ? [] : [['place in the queue', String(queuePosition)]]),
    ...(estimate === null ? [] : [['starts in', formatDuration(estimate.startsInSeconds)]]),
    ...gates.results.map(({ name, passed, value, limit }) => [
      `gate ${name}`,
      `${passed ? 'passed' : 'FAILED'}: ${formatNumber(value, 3)}, limit ${limit}`,
    ]),
    ...(error === null ? [] : [['error', `${error.code}: ${error.message}`]]),
    ...(artifactIds.length === 0 ? [] : [['artifacts', artifactIds.join(', ')]]),
  ];
  return formatTable(rows, ['left', 'left']);
}

function left(etaSeconds: number | null): string {
  return etaSeconds === null ? '' : `, ${formatDuration(etaSeconds)} left`;
}
