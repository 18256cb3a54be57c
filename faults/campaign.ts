/** Rounds on one service, until one of them finds something wrong. */
import { once } from 'node:events';
import type { Job, WebhookWithSecret } from '@tritforge/contracts';
import { expectJson, file, form, json } from '#test/support/http';
import { type FaultKind, kindsFor } from './fault-kinds.js';
import { createBlindClient } from './pipeline/blind-client.js';
import type { AcceptedJob } from './pipeline/ledger.js';
import { jobEnd } from './pipeline/tasks.js';
import { startReceiver, type WebhookReceiver } from './pipeline/webhook-receiver.js';
import { KEEPSAKE } from './pipeline/works.js';
import { type PlanSizes, planRound, randomOf } from './plan.js';
import { type RoundResult, runRound, type Standing } from './round.js';
import type { Backends } from './service/foundation.js';
import { type Service, startService } from './service/service.js';

export interface CampaignOptions extends Backends {
  readonly seed: number;
  /** Numbers of the rounds, from 1. */
  readonly rounds: readonly number[];
  /** The kinds of faults that there are; all that the backends have when null. */
  readonly only: readonly FaultKind[] | null;
  readonly sizes: PlanSizes;
}

export interface CampaignResult {
  readonly rounds: readonly RoundResult[];
  /** The folder of the service, where something was wrong; else it is gone. */
  readonly keptDir: string | null;
}

/**
 * Runs a campaign.
 * @param onRound hears of each round when it is over
 * @param signal ends the campaign at once; what it has done until then is the result
 * @throws Error that says why the service cannot be started, or has no such fault
 */
export async function runCampaign(
  { seed, rounds, only, sizes, ...backends }: CampaignOptions,
  onRound: (result: RoundResult) => void,
  signal?: AbortSignal,
): Promise<CampaignResult> {
  const kinds = kindsFor(backends).filter((kind) => only === null || only.includes(kind));
  if (kinds.length === 0) throw new Error(`${only?.join(', ')} needs other backends: see --queue and --storage.`);
  const service = await startService(backends);
  const receiver = await startReceiver();
  const results: RoundResult[] = [];
  let isWrong = true;
  try {
    const standing = await prepare(service, receiver, seed);
    const runAll = async () => {
      for (const round of rounds) {
        const result = await runRound(standing, seed, round, planRound(seed, round, kinds, sizes));
        if (signal?.aborted) return;
        results.push(result);
        onRound(result);
        if (result.wrong.length > 0) return;
      }
    };
    await Promise.race([runAll(), ...(signal === undefined ? [] : [once(signal, 'abort')])]);
    isWrong = results.some(({ wrong }) => wrong.length > 0);
    return { rounds: results, keptDir: isWrong ? service.dataDir : null };
  } catch (cause) {
    throw new Error(`The campaign broke off: ${cause}. See ${service.dataDir}.`, { cause });
  } finally {
    await receiver.close();
    await service.close(isWrong);
  }
}

/** Makes the webhook, and a job that is there from the first round on. */
async function prepare(service: Service, receiver: WebhookReceiver, seed: number): Promise<Standing> {
  const client = createBlindClient(service.urls, randomOf(seed, 0));
  const webhook = await client.withKey('webhook')('/webhooks', json({ url: receiver.url }));
  receiver.secret = (await expectJson<WebhookWithSecret>(webhook, 201)).secret;
  const { model, recipe } = KEEPSAKE;
  const entries = form([
    ['model', file(model.content, model.fileName)],
    ['job', JSON.stringify({ recipe })],
  ]);
  const { id } = await expectJson<Job>(await client.withKey('keepsake')('/jobs', entries), 202);
  const { state: endedAs } = await jobEnd(client, id);
  const keepsake: AcceptedJob = { id, task: 'form', work: 'FGQ weights of a classifier', endedAs, deletion: 'none' };
  return { service, receiver, keepsake, artifactDigests: new Map() };
}
