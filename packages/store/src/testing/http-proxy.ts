import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse, request as sendOn } from 'node:http';

/**
 * What happens to a request: it is passed on; the connection is cut at once, or after so many bytes of the answer; it is answered with a
 * status; or it is never answered.
 */
export type Fate =
  | 'pass'
  | 'cut'
  | 'hang'
  | { readonly cutAfterBytes: number }
  | { readonly status: number; readonly code: string };

/** A proxy on loopback before a server, to see what clients send and to trouble them. */
export interface TestProxy {
  readonly endpoint: string;
  /** Decides about each request; all pass at first. */
  judge: (request: IncomingMessage) => Fate;
  close(): Promise<void>;
}

export async function startProxy(target: string): Promise<TestProxy> {
  const server = createServer((request, response) => {
    const fate = proxy.judge(request);
    if (fate === 'cut') request.socket.destroy();
    else if (fate === 'pass') passOn(target, request, response, Number.POSITIVE_INFINITY);
    else if (typeof fate === 'object' && 'cutAfterBytes' in fate) passOn(target, request, response, fate.cutAfterBytes);
    else if (typeof fate === 'object') refuse(request, response, fate);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  const proxy: TestProxy = {
    endpoint: `http://127.0.0.1:${port}`,
    judge: () => 'pass',
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return proxy;
}

function passOn(target: string, request: IncomingMessage, response: ServerResponse, limitBytes: number): void {
  const { method = 'GET', headers, url = '/' } = request;
  const onward = sendOn(new URL(url, target), { method, headers }, (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers);
    let passedBytes = 0;
    answer.on('data', (chunk: Buffer) => {
      response.write(chunk.subarray(0, limitBytes - passedBytes));
      passedBytes += chunk.length;
      if (passedBytes < limitBytes) return;
      answer.destroy();
      // What was written goes out first.
      setImmediate(() => response.destroy());
    });
    answer.on('end', () => response.end());
    answer.on('error', () => response.destroy());
  });
  onward.on('error', () => response.destroy());
  request.pipe(onward);
}

function refuse(
  request: IncomingMessage,
  response: ServerResponse,
  { status, code }: { status: number; code: string },
): void {
  request.resume();
  request.once('end', () => {
    response.writeHead(status, { 'content-type': 'application/xml' });
    response.end(
      request.method === 'HEAD' ? '' : `<Error><Code>${code}</Code><Message>as the test wishes</Message></Error>`,
    );
  });
}
