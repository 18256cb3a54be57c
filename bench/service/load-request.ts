import { createHash } from 'node:crypto';
import { type Agent, request as sendRequest } from 'node:http';

/** A request that is sent many times. */
export interface LoadRequest {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  /** What it may be answered with. */
  readonly statuses: readonly number[];
  /** Digest that the body of the answer must have, as `sha256:…`. */
  readonly digest?: string;
  /** It is the creation of a job, whose id the answer has, and which is sent with an Idempotency-Key of its own each time. */
  readonly createsJob?: boolean;
}

/** What came of a request. */
export interface LoadAnswer {
  /** Why it is not what was meant: status and code, a wrong digest, or the error of the connection; null where it is. */
  readonly failure: string | null;
  /** Of the job that it created. */
  readonly jobId: string | null;
}

/** Sends a request and reads the whole answer; never rejects. */
export function send(agent: Agent, url: string, request: LoadRequest, idempotencyKey: string): Promise<LoadAnswer> {
  const { hostname, port } = new URL(url);
  const { method, path, body, createsJob } = request;
  const headers = createsJob ? { ...request.headers, 'idempotency-key': idempotencyKey } : request.headers;
  return new Promise((resolve) => {
    const failed = (error: NodeJS.ErrnoException) => resolve({ failure: error.code ?? error.message, jobId: null });
    const sent = sendRequest({ agent, hostname, port, method, path, headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => resolve(answerOf(request, response.statusCode!, Buffer.concat(chunks))));
      response.on('error', failed);
    });
    sent.on('error', failed);
    sent.end(body);
  });
}

function answerOf({ statuses, digest, createsJob }: LoadRequest, status: number, body: Buffer): LoadAnswer {
  if (!statuses.includes(status)) return { failure: `${status}${codeOf(body)}`, jobId: null };
  if (digest !== undefined && digest !== `sha256:${createHash('sha256').update(body).digest('hex')}`)
    return { failure: 'wrong digest', jobId: null };
  return { failure: null, jobId: createsJob ? (JSON.parse(body.toString()) as { id: string }).id : null };
}

/** The code of a problem document. */
function codeOf(body: Buffer): string {
  const code = /"code":"(\w+)"/.exec(body.toString())?.[1];
  return code === undefined ? '' : ` ${code}`;
}
