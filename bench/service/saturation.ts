/** How many requests of each kind a service answers at most, by how many processes it has. */
import { cancellations, finishedJob, look, type Material, uploadMaterial } from './material.js';
import { answersOf, type JobFate, type SaturationRow } from './rows.js';
import { runLoad } from './run-load.js';
import { fateOf, type RunningService, withService } from './running-service.js';

const CONNECTIONS = 16;
const WARM_UP_SECONDS = 3;
const PROCESSES = [1, 4];

/** @param onRow hears of each row when it is there */
export async function measureSaturation(seconds: number, onRow: (row: SaturationRow) => Promise<void>): Promise<void> {
  for (const apis of PROCESSES) {
    for (const workers of PROCESSES) {
      await withService({ apis, workers }, async (service) => {
        const material = await uploadMaterial(service);
        for await (const [request, answers, jobs] of loads(service, material, seconds))
          await onRow({
            part: 'saturation',
            request,
            apis,
            workers,
            connections: CONNECTIONS,
            ...answersOf(answers),
            jobs,
          });
      });
    }
  }
}

type Load = readonly [request: string, answers: Awaited<ReturnType<typeof runLoad>>, jobs: JobFate | null];

async function* loads(service: RunningService, material: Material, seconds: number): AsyncGenerator<Load> {
  const { job, artifact } = await finishedJob(service, material);
  const during = { seconds, warmUpSeconds: WARM_UP_SECONDS };
  const { urls } = service;
  const closed = { kind: 'closed', urls, connections: CONNECTIONS, during } as const;
  yield ['status polls', await runLoad({ ...closed, requests: [look(service, `/jobs/${job.id}`)] }), null];
  const content = look(service, `/artifacts/${artifact.id}/content`, artifact.digest);
  yield [
    `downloads of ${(artifact.sizeBytes / 1000).toFixed(0)} kB`,
    await runLoad({ ...closed, requests: [content] }),
    null,
  ];
  const submitted = await runLoad({ ...closed, requests: material.submissions });
  // Workers have run some of them meanwhile.
  const requests = cancellations(service, submitted.jobIds);
  await runLoad({ kind: 'closed', urls, requests, connections: CONNECTIONS, during: 'once' });
  yield ['submissions', submitted, await fateOf(service, submitted.jobIds)];
}
