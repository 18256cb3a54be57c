import type { BlindClient } from '../pipeline/blind-client.js';
import type { AcceptedJob, Ledger } from '../pipeline/ledger.js';
import type { WebhookReceiver } from '../pipeline/webhook-receiver.js';
import type { Service } from '../service/service.js';

/** What the checks after a round look at. The service is whole, and nobody asks anything of it but they. */
export interface CheckContext {
  readonly service: Service;
  readonly client: BlindClient;
  readonly receiver: WebhookReceiver;
  readonly ledger: Ledger;
  /** A job that is there from the beginning, and has ended then. */
  readonly keepsake: AcceptedJob;
  /** Digests of the artifacts of works, as the first job that did each made them. */
  readonly artifactDigests: Map<string, string>;
}

/** Says what is wrong, in a sentence each; nothing where all is well. */
export type Check = (context: CheckContext) => Promise<string[]>;
