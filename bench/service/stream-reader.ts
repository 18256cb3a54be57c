import { type Agent, type IncomingMessage, request } from 'node:http';

/** An event of the log, as a stream brought it. */
export interface ArrivedEvent {
  readonly id: number;
  readonly jobId: string;
  /** When it was written, and when it arrived, in milliseconds since 1970. */
  readonly writtenMs: number;
  readonly arrivedMs: number;
}

/** A stream that is being read. */
export interface OpenStream {
  readonly events: readonly ArrivedEvent[];
  /** Resolves when the service ends it, or the connection breaks. */
  readonly ended: Promise<void>;
  close(): void;
}

/** Opens a stream of server-sent events. @throws Error when the service refuses it */
export async function openStream(
  agent: Agent,
  url: string,
  path: string,
  headers: Readonly<Record<string, string>>,
): Promise<OpenStream> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const { hostname, port } = new URL(url);
    request({ agent, hostname, port, path, headers }, resolve).on('error', reject).end();
  });
  if (response.statusCode !== 200) {
    response.resume();
    throw new Error(`${path} was answered ${response.statusCode}`);
  }
  const events: ArrivedEvent[] = [];
  let text = '';
  response.setEncoding('utf8');
  response.on('data', (chunk: string) => {
    const arrivedMs = Date.now();
    const frames = (text + chunk).split('\n\n');
    text = frames.pop()!;
    for (const frame of frames) {
      const event = eventOf(frame, arrivedMs);
      if (event !== null) events.push(event);
    }
  });
  const ended = new Promise<void>((resolve) => response.once('close', resolve));
  // It may break while it is closed.
  response.on('error', () => {});
  return { events, ended, close: () => response.destroy() };
}

/** Null for what is no event of the log: comments, and how far a job is. */
function eventOf(frame: string, arrivedMs: number): ArrivedEvent | null {
  const id = /^id: (\d+)$/m.exec(frame)?.[1];
  const data = /^data: (.*)$/m.exec(frame)?.[1];
  if (id === undefined || data === undefined) return null;
  const { jobId, at } = JSON.parse(data) as { jobId: string; at: string };
  return { id: Number(id), jobId, writtenMs: Date.parse(at), arrivedMs };
}
