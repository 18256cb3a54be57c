import { type ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { TritforgeError } from '@tritforge/contracts';
import { PROBLEM_MEDIA_TYPE, toProblem } from '../errors.js';

/**
 * Answers connections whose bytes are not a request that Node could parse. A request gets one answer: what is wrong behind the head of one
 * that has its answer, or gets it now, ends the connection without a word. A proxy would take a second answer for that of somebody else.
 */
export class ConnectionErrors {
  readonly #latest = new WeakMap<Socket, ServerResponse>();

  /** Notes the answer of a request whose head has arrived. */
  note(response: ServerResponse): void {
    this.#latest.set(response.req.socket, response);
  }

  /** What Node calls a connection's end by. */
  answer(error: NodeJS.ErrnoException, socket: Socket): void {
    if (error.code === 'ECONNRESET' || !socket.writable || !this.#isWaited(socket)) {
      socket.destroy();
      return;
    }
    const known = connectionError(error);
    const body = JSON.stringify(toProblem(known, '/'));
    socket.end(
      `HTTP/1.1 ${known.status} ${STATUS_CODES[known.status]}\r\nContent-Type: ${PROBLEM_MEDIA_TYPE}\r\n` +
        `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
      () => socket.destroySoon(),
    );
  }

  /** Whether what comes next on the connection is the answer to the request that is wrong. */
  #isWaited(socket: Socket): boolean {
    const latest = this.#latest.get(socket);
    if (latest === undefined) return true;
    return latest.req.complete ? latest.writableFinished : !latest.headersSent;
  }
}

function connectionError(error: NodeJS.ErrnoException): TritforgeError {
  if (error.code === 'HPE_HEADER_OVERFLOW') {
    return new TritforgeError('HEADERS_TOO_LARGE', 'The request line and headers are larger than 16 KiB', {
      remediation: 'Send fewer or shorter headers and a shorter URL.',
    });
  }
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    return new TritforgeError('REQUEST_TIMEOUT', 'The headers of the request did not arrive in time', {
      remediation: 'Send the whole request head at once.',
    });
  }
  return new TritforgeError('REQUEST_MALFORMED', 'The connection does not carry a valid HTTP/1.1 request', {
    remediation: 'Check that the client speaks HTTP, not TLS, and sends well-formed headers.',
    cause: error,
  });
}
