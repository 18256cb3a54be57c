import type { ProjectStore } from '@tritforge/store';
import { type Span, within } from '@tritforge/telemetry';

/** By the conventions for messages. */
const SENDING = {
  'messaging.system': 'bullmq',
  'messaging.operation.name': 'send',
  'messaging.operation.type': 'send',
  'messaging.destination.name': 'jobs',
} as const;

/**
 * A store that submits jobs as spans within that of a request. Their contexts are kept with the jobs: attempts at a job, hours later and
 * elsewhere, are parts of the span that sent it.
 */
export function withTracedJobs(store: ProjectStore, request: Span): ProjectStore {
  return {
    ...store,
    submitJob: (job, once) =>
      within(request.begin('send jobs', { kind: 'producer', attributes: SENDING }), async (span) => {
        const sent = await store.submitJob({ ...job, traceContext: span.context }, once);
        span.set({ 'messaging.message.id': sent.id });
        return sent;
      }),
  };
}
