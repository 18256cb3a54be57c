import type { IncomingMessage } from 'node:http';
import { TritforgeError } from '@tritforge/contracts';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { parseJson } from '../uploads/json-part.js';

/** Limits of JSON bodies. */
export interface JsonLimits {
  readonly maxJsonBytes: number;
  /** How long a body may take to arrive. */
  readonly slowClientSeconds: number;
}

/** Parses JSON bodies, with errors that say where the text is wrong. */
export function parseJsonBodies(app: FastifyInstance, limits: JsonLimits): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', async (request: FastifyRequest, body: IncomingMessage) => {
    const text = await readText(body, limits);
    // Clients announce JSON out of habit, also where a route takes no body.
    const isIdle = text === '' && request.routeOptions.schema?.body === undefined;
    return isIdle ? undefined : parseJson(text, '');
  });
}

/** What throws leaves the connection usable, so that an answer can still be sent. @throws TritforgeError BODY_TOO_LARGE, REQUEST_TIMEOUT */
function readText(body: IncomingMessage, { maxJsonBytes, slowClientSeconds }: JsonLimits): Promise<string> {
  return new Promise((resolve, reject) => {
    if (Number(body.headers['content-length'] ?? 0) > maxJsonBytes) return reject(tooLarge(maxJsonBytes));
    const chunks: Buffer[] = [];
    let sizeBytes = 0;
    const end = (error: Error | null) => {
      clearTimeout(timer);
      body.off('data', take).off('end', finish).off('error', end);
      if (error === null) resolve(Buffer.concat(chunks).toString('utf8'));
      else reject(error);
    };
    const finish = () => end(null);
    const take = (chunk: Buffer) => {
      sizeBytes += chunk.length;
      if (sizeBytes > maxJsonBytes) end(tooLarge(maxJsonBytes));
      else chunks.push(chunk);
    };
    const timer = setTimeout(() => end(tooSlow(slowClientSeconds)), slowClientSeconds * 1000);
    body.on('data', take).on('end', finish).on('error', end);
  });
}

function tooLarge(maxBytes: number): TritforgeError {
  return new TritforgeError('BODY_TOO_LARGE', `The JSON body is larger than the ${maxBytes} bytes that it may have`, {
    remediation: 'Send a smaller body; files travel in multipart uploads.',
  });
}

function tooSlow(seconds: number): TritforgeError {
  return new TritforgeError('REQUEST_TIMEOUT', `The JSON body did not arrive within ${seconds} s`, {
    remediation: 'Send the whole body at once.',
  });
}
