import { holdsWithin } from '../until.js';
import type { CheckContext } from './context.js';

/** A message whose worker was killed while it sent it is sent again by another one after a minute. */
const ARRIVES_WITHIN_MS = 90_000;

/** The receiver was told of the end of every job by one message, which may have come more than once. */
export async function checkWebhooks({ receiver, ledger }: CheckContext): Promise<string[]> {
  const jobs = [...ledger.jobs.values()];
  await holdsWithin(ARRIVES_WITHIN_MS, async () => jobs.every(({ id }) => receiver.endsOf(id).length > 0));
  const wrong = jobs.flatMap(({ id, task, endedAs }) => {
    const told = receiver.endsOf(id);
    const messages = new Set(told.map(({ messageId }) => messageId));
    const states = [...new Set(told.map(({ state }) => state))].join(', ');
    if (messages.size === 0) return [`nobody was told that job ${id} (${task}) has ended`];
    if (messages.size > 1) return [`${messages.size} messages say that job ${id} (${task}) has ended`];
    return states === endedAs ? [] : [`job ${id} (${task}) ended as ${endedAs}, and the webhook was told ${states}`];
  });
  return [...wrong, ...receiver.wrong.splice(0)];
}
