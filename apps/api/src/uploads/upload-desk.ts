import { TritforgeError } from '@tritforge/contracts';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { ApiConfig } from '../config.js';
import type { ServiceStore } from '../deps.js';
import { announcedSha256 } from '../http/content-digest.js';
import { accessOf } from '../plugins/authentication.js';
import { type Part, readParts } from './multipart.js';
import { RequestBody } from './request-body.js';
import { takeReferred } from './resumable/referred-upload.js';
import { UploadSession } from './upload-session.js';

/** Takes uploads in: limits how many run at once and cleans up after each, however it ends. */
export class UploadDesk {
  readonly #store: Pick<ServiceStore, 'blobs' | 'sources'>;
  readonly #scratchDir: string;
  readonly #config: ApiConfig;
  #open = 0;

  constructor(store: Pick<ServiceStore, 'blobs' | 'sources'>, scratchDir: string, config: ApiConfig) {
    this.#store = store;
    this.#scratchDir = scratchDir;
    this.#config = config;
  }

  /**
   * Handles one upload. When `work` has ended, in whatever way, what it staged and did not publish is gone.
   * @throws TritforgeError SERVICE_OVERLOADED; what `work` throws
   */
  async serve<T>(reply: FastifyReply, work: (session: UploadSession) => Promise<T>): Promise<T> {
    if (this.#open >= this.#config.maxConcurrentUploads) throw overloaded(this.#open);
    this.#open++;
    try {
      return await this.serveStored(reply, work);
    } finally {
      this.#open--;
    }
  }

  /** The same for a request that brings no files and may have stored ones checked: it takes no place of an upload. */
  async serveStored<T>(reply: FastifyReply, work: (session: UploadSession) => Promise<T>): Promise<T> {
    const session = new UploadSession(this.#store.blobs, this.#scratchDir, signalOfClient(reply));
    try {
      return await work(session);
    } finally {
      await session.close();
    }
  }

  /** The body of the request, within the limits of the service. */
  openBody({ raw, headers }: FastifyRequest): RequestBody {
    return new RequestBody(raw, {
      maxBytes: this.#config.maxUploadBytes,
      idleMs: this.#config.uploadIdleSeconds * 1000,
      sha256: announcedSha256(headers['content-digest']),
    });
  }

  /** Reads a multipart body, whose parts may refer to uploads and objects of buckets; see `readParts` and `takeReferred`. */
  async readParts(request: FastifyRequest, take: (part: Part) => Promise<void>): Promise<void> {
    const contentType = request.headers['content-type'] ?? '';
    const { uploads, directUploads } = accessOf(request).store;
    const referred = {
      uploads,
      directUploads,
      sources: this.#store.sources,
      maxBytes: this.#config.maxUploadBytes,
    };
    await readParts(this.openBody(request), contentType, this.#config.maxUploadParts, (part) =>
      takeReferred(part, referred, take),
    );
  }
}

/** A signal that aborts when the connection closes before the answer is out. */
function signalOfClient(reply: FastifyReply): AbortSignal {
  const controller = new AbortController();
  const gone = () => {
    if (reply.raw.writableFinished) return;
    controller.abort(
      new TritforgeError('UPLOAD_INCOMPLETE', 'The client closed the connection before it was answered', {
        remediation: 'Send the upload again and wait for the answer.',
      }),
    );
  };
  if (reply.raw.destroyed) gone();
  else reply.raw.once('close', gone);
  return controller.signal;
}

function overloaded(open: number): TritforgeError {
  return new TritforgeError('SERVICE_OVERLOADED', `${open} uploads are being received already`, {
    remediation: 'Send the request again after the seconds that Retry-After names.',
  });
}
