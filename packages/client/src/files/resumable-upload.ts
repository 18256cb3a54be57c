/** Uploads by tus 1.0. */
import { Backoff } from '../http/backoff.js';
import type { ServiceRequest, Transport } from '../http/transport.js';
import { countedBody } from './counted-body.js';
import type { SendOptions, SentFile } from './sent-file.js';

const VERSION = { 'tus-resumable': '1.0.0' };
const PIECE_TYPE = 'application/offset+octet-stream';
const DISCARD_MS = 10_000;

/** Starts an upload. Returns its id, `upl_…`. @throws as {@link Transport.send} */
export async function createUpload(
  transport: Transport,
  sizeBytes: number,
  name: string,
  signal: AbortSignal | undefined,
): Promise<string> {
  const metadata = `filename ${Buffer.from(name).toString('base64')}`;
  const headers = { ...VERSION, 'upload-length': `${sizeBytes}`, 'upload-metadata': metadata };
  return transport.send({ method: 'POST', path: '/uploads', headers, signal }, async (response) => {
    await response.body?.cancel();
    const location = response.headers.get('location') ?? '';
    return location.slice(location.lastIndexOf('/') + 1);
  });
}

/**
 * Sends the bytes of an upload. After an interruption it goes on behind those that have arrived, as often as it takes while each attempt
 * brings some.
 * @throws as {@link Transport.send}
 */
export async function sendContent(
  transport: Transport,
  id: string,
  file: SentFile,
  { signal, onProgress }: SendOptions,
): Promise<void> {
  const path = `/uploads/${id}`;
  const backoff = new Backoff(transport.retryMs, signal);
  let arrived = 0;
  while (arrived < file.sizeBytes) {
    const offset = arrived;
    try {
      const headers = { ...VERSION, 'upload-offset': `${offset}` };
      let sent = offset;
      const body = countedBody(PIECE_TYPE, file.path, offset, file.sizeBytes, (bytes) => {
        sent += bytes;
        onProgress(sent);
      });
      arrived = await transport.attempt({ method: 'PATCH', path, headers, body, signal }, offsetOf);
    } catch (error) {
      await backoff.pause(error);
      const look: ServiceRequest = { method: 'HEAD', path, headers: VERSION, signal };
      arrived = await transport.send(look, offsetOf);
      if (arrived > offset) backoff.reset();
    }
  }
}

/** Deletes an upload. */
export async function discardUpload(transport: Transport, id: string): Promise<void> {
  const path = `/uploads/${id}`;
  await transport.done({ method: 'DELETE', path, headers: VERSION, retryMs: 0, timeoutMs: DISCARD_MS });
}

async function offsetOf(response: Response): Promise<number> {
  await response.body?.cancel();
  return Number(response.headers.get('upload-offset'));
}
