/** How long submissions take that come at a rate, whatever the service does. */
import { cancellations, uploadMaterial } from './material.js';
import { answersOf, type RateRow } from './rows.js';
import { runLoad } from './run-load.js';
import { fateOf, withService } from './running-service.js';

const WARM_UP_SECONDS = 5;
const CONNECTIONS = 16;

type Setting = Pick<RateRow, 'queue' | 'apis' | 'workers' | 'perSecond'>;

/** Those without a worker are what the API can do, those with one what is left beside a job on the same cores, which yields them. */
const SETTINGS: readonly Setting[] = [
  { queue: 'PostgreSQL', apis: 1, workers: 0, perSecond: 50 },
  { queue: 'PostgreSQL', apis: 1, workers: 1, perSecond: 50 },
  { queue: 'Redis', apis: 1, workers: 0, perSecond: 200 },
  { queue: 'Redis', apis: 1, workers: 1, perSecond: 200 },
  { queue: 'Redis', apis: 4, workers: 0, perSecond: 200 },
  { queue: 'Redis', apis: 4, workers: 1, perSecond: 200 },
];

/** @param onRow hears of each row when it is there */
export async function measureRates(seconds: number, onRow: (row: RateRow) => Promise<void>): Promise<void> {
  for (const setting of SETTINGS) {
    await withService(setting, async (service) => {
      const { submissions: requests } = await uploadMaterial(service);
      const { urls } = service;
      const { perSecond } = setting;
      const submitted = await runLoad({
        kind: 'open',
        urls,
        requests,
        perSecond,
        seconds,
        warmUpSeconds: WARM_UP_SECONDS,
      });
      const cancels = cancellations(service, submitted.jobIds);
      await runLoad({ kind: 'closed', urls, requests: cancels, connections: CONNECTIONS, during: 'once' });
      const jobs = await fateOf(service, submitted.jobIds);
      await onRow({ part: 'rate', ...setting, ...answersOf(submitted), jobs });
    });
  }
}
