import { JOB_STATES } from '@tritforge/contracts';
import type { JobCounts } from '@tritforge/store';
import type { FastifyInstance } from 'fastify';
import { collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { ServiceStore } from '../deps.js';

/** From answers out of memory to uploads that take minutes. */
const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];

/**
 * What Prometheus reads of an API process: itself, its requests, and the jobs of all projects, which every API process tells alike (take
 * the largest, not the sum).
 * @param app whose requests are counted; call it before routes are added
 */
export function apiMetrics(app: FastifyInstance, store: Pick<ServiceStore, 'jobCounts'>): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const requests = new Histogram({
    name: 'tritforge_http_request_seconds',
    help: 'Time from the head of a request to the end of its answer.',
    labelNames: ['method', 'route', 'status'],
    buckets: SECONDS,
    registers: [registry],
  });
  app.addHook('onResponse', async ({ method, routeOptions }, { statusCode, elapsedTime }) => {
    // Routes, not paths: ids would make a series of each.
    requests.observe({ method, route: routeOptions.url ?? 'unknown', status: statusCode }, elapsedTime / 1000);
  });
  // Gauges are collected together: they share one look at the database.
  let look: Promise<JobCounts> | null = null;
  const counts = () => {
    look ??= store.jobCounts().finally(() => {
      look = null;
    });
    return look;
  };
  const jobs = new Gauge({
    name: 'tritforge_jobs',
    help: 'Jobs by state, of all projects.',
    labelNames: ['state'],
    registers: [registry],
    collect: async () => {
      const { byState } = await counts();
      for (const state of JOB_STATES) jobs.set({ state }, byState[state] ?? 0);
    },
  });
  const oldest = new Gauge({
    name: 'tritforge_oldest_queued_job_seconds',
    help: 'How long the job that waits longest has waited; 0 where none waits.',
    registers: [registry],
    collect: async () => {
      oldest.set((await counts()).oldestQueuedSeconds);
    },
  });
  return registry;
}
