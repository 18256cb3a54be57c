import { connectionFailure } from './passing.js';
import type { StreamedBody } from './streamed-body.js';

/**
 * How long a request may be without a sign of the other side: an answer that begins, or a body that is asked for. A connection that is closed
 * as it opens can leave a request of fetch waiting for ever, with nothing that keeps the process alive.
 */
const SILENCE_MS = 120_000;
/**
 * A body could be sent again to where a redirect leads, or with what a window knows of its user, and is kept in memory for that unless
 * neither can happen.
 */
const SENT_AS_IT_IS = { redirect: 'error', window: null } as const;

/** A request as it goes out. */
export interface Exchange {
  readonly method: string;
  readonly url: string;
  /** What errors call the other side. */
  readonly place: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | StreamedBody | undefined;
  /** How long it may take with its answer, in milliseconds. */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Sends a request once.
 * @throws Passing where no connection came about or one broke; the reason of the signal; what `read` throws
 */
export async function exchange<T>(request: Exchange, read: (response: Response) => Promise<T>): Promise<T> {
  const { method, url, place, headers, body } = request;
  const content = typeof body === 'object' ? body.open() : null;
  const silence = new Silence(request.timeoutMs ?? SILENCE_MS);
  try {
    const response = await fetch(url, {
      method,
      headers: { ...(typeof body === 'object' && headersOf(body)), ...headers },
      ...(typeof body === 'string' && { body }),
      ...(content !== null && { body: ReadableStream.from(silence.until(content)), duplex: 'half' as const }),
      ...SENT_AS_IT_IS,
      signal: AbortSignal.any([silence.signal, ...signalsOf(request)]),
    });
    silence.end();
    return await read(response);
  } catch (error) {
    throw connectionFailure(error, place);
  } finally {
    silence.end();
    // Closes the file that it was reading when the connection broke.
    void content?.return().catch(() => {});
  }
}

/** The length is known, so that who receives it and proxies need not take the body in pieces of unknown number. */
function headersOf({ contentType, sizeBytes }: StreamedBody): Record<string, string> {
  return { 'content-type': contentType, 'content-length': String(sizeBytes) };
}

function signalsOf({ signal, timeoutMs }: Exchange): AbortSignal[] {
  return [...(signal ? [signal] : []), ...(timeoutMs === undefined ? [] : [AbortSignal.timeout(timeoutMs)])];
}

/** Aborts when nothing has ended it in time, and keeps the process alive until then. */
class Silence {
  readonly #controller = new AbortController();
  readonly #timer: NodeJS.Timeout;

  constructor(mostMs: number) {
    const isOver = () => this.#controller.abort(new DOMException('The service is silent', 'TimeoutError'));
    this.#timer = setTimeout(isOver, mostMs);
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  end(): void {
    clearTimeout(this.#timer);
  }

  /** The chunks, the first of which ends it. */
  async *until<Chunk>(chunks: AsyncIterable<Chunk>): AsyncGenerator<Chunk> {
    for await (const chunk of chunks) {
      this.end();
      yield chunk;
    }
  }
}
