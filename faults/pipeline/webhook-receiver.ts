import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import type { Job } from '@tritforge/contracts';
import { Webhook } from 'standardwebhooks';

/** What a message said of a job. */
interface Told {
  readonly messageId: string;
  readonly state: Job['state'];
}

/** Takes messages about jobs, as the systems of users do. */
export interface WebhookReceiver {
  readonly url: string;
  /** Verifies what arrives from now on. */
  secret: string;
  /** Messages that say that the job has ended, in the order of their arrival; the same one may have come several times. */
  endsOf(jobId: string): readonly Told[];
  /** What arrived and must not have. */
  readonly wrong: string[];
  close(): Promise<void>;
}

export async function startReceiver(): Promise<WebhookReceiver> {
  const told = new Map<string, Told[]>();
  const wrong: string[] = [];
  const server = createServer(async (request, response) => {
    const body = await text(request).catch(() => null);
    // Cut off: it is sent again.
    if (body === null) return;
    try {
      const headers = request.headers as Record<string, string>;
      const { data } = new Webhook(receiver.secret).verify(body, headers) as { data: Job };
      const messages = told.get(data.id) ?? [];
      messages.push({ messageId: headers['webhook-id']!, state: data.state });
      told.set(data.id, messages);
    } catch (error) {
      wrong.push(`a message to the webhook is not genuine: ${error instanceof Error ? error.message : error}`);
    }
    response.writeHead(204).end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const receiver: WebhookReceiver = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/ends`,
    secret: '',
    endsOf: (jobId) => told.get(jobId) ?? [],
    wrong,
    close: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
  return receiver;
}
