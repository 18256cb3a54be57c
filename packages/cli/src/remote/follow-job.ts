import type { TritforgeClient } from '@tritforge/client';
import type { Job } from '@tritforge/contracts';
import type { CommandContext } from '../command-context.js';
import { openProgressDisplay, type ShownProgress } from '../output/progress-bar.js';

/** The flags that say how to wait. */
export interface WaitFlags {
  readonly server: string;
  /** Milliseconds. */
  readonly timeout?: number;
  /** Milliseconds that the service may be away at a time. */
  readonly retryFor?: number;
  readonly cancelOnInterrupt?: boolean;
}

/**
 * Waits for the end of a job and shows how far it is. Ctrl-C ends the waiting and not the job, unless the flags ask for that.
 * @throws as `client.jobs.wait`
 */
export async function followJob(
  client: TritforgeClient,
  id: string,
  flags: WaitFlags,
  { signal, asJson }: CommandContext,
): Promise<Job> {
  const display = openProgressDisplay();
  try {
    const onProgress = (job: Job) => display.show(progressOf(job));
    return await client.jobs.wait(id, { signal, timeoutMs: flags.timeout, absenceMs: flags.retryFor, onProgress });
  } catch (error) {
    display.close();
    if (!signal.aborted) throw error;
    if (flags.cancelOnInterrupt) await client.jobs.cancel(id);
    if (!asJson) process.stderr.write(flags.cancelOnInterrupt ? `${id} is canceled.\n` : goesOn(id, flags.server));
    throw error;
  } finally {
    display.close();
  }
}

/** A job that waits is as far as it is from its turn. */
function progressOf({ state, phase, progress, queuePosition, estimate }: Job): ShownProgress {
  if (progress !== null && phase !== null) return { phase, ...progress };
  const unit = queuePosition === null ? '' : 'turns';
  return {
    phase: phase ?? state,
    done: 0,
    total: queuePosition ?? 1,
    unit,
    etaSeconds: estimate?.startsInSeconds ?? null,
  };
}

function goesOn(id: string, server: string): string {
  return `The job goes on.
  tritforge wait ${id} --server ${server}
  tritforge cancel ${id} --server ${server}
`;
}
