import assert from 'node:assert/strict';

/** An event of a stream. */
export interface StreamEvent {
  readonly id: string | null;
  readonly event: string;
  readonly data: Record<string, unknown>;
}

/** Reads a stream of server-sent events until it ends or `isEnough` says so. */
export async function readEvents(
  response: Response,
  isEnough: (events: readonly StreamEvent[]) => boolean = () => false,
): Promise<StreamEvent[]> {
  assert.equal(response.status, 200);
  assert.match(response.headers.get('content-type') ?? '', /^text\/event-stream/);
  const events: StreamEvent[] = [];
  let text = '';
  const decoder = new TextDecoder();
  for await (const chunk of response.body!) {
    text += decoder.decode(chunk as Uint8Array, { stream: true });
    const frames = text.split('\n\n');
    text = frames.pop()!;
    for (const frame of frames) {
      const fields = new Map(frame.split('\n').map((line) => line.split(/: ?(.*)/s, 2) as [string, string]));
      const event = fields.get('event');
      if (event === undefined) continue;
      events.push({ id: fields.get('id') ?? null, event, data: JSON.parse(fields.get('data')!) });
      // Leaving the loop closes the connection.
      if (isEnough(events)) return events;
    }
  }
  return events;
}
