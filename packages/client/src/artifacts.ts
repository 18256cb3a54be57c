import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Artifact } from '@tritforge/contracts';
import { type DownloadOptions, downloadFile } from './files/download-file.js';
import { notTheService } from './http/passing.js';
import type { Transport } from './http/transport.js';
import type { CallOptions } from './options.js';

/** Quantized models. */
export class Artifacts {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** @throws ProblemError ARTIFACT_NOT_FOUND and others */
  get(id: string, { signal }: CallOptions = {}): Promise<Artifact> {
    return this.#transport.json({ method: 'GET', path: pathOf(id), signal });
  }

  /**
   * Downloads the files of an artifact into a folder, which is made when missing. A file appears under its name when all of it has
   * arrived and has the digest of the artifact. What was interrupted goes on where it was, in this call or the next one.
   *
   * @returns the paths of the files: the .onnx file, then its external data if it has any
   * @throws TritforgeError DIGEST_MISMATCH, SERVICE_UNREACHABLE; ProblemError; the error of the file system
   * @example
   * for (const artifact of await client.jobs.artifacts(job.id)) await client.artifacts.download(artifact, 'out');
   */
  async download({ id, files }: Artifact, folder: string, options: DownloadOptions = {}): Promise<string[]> {
    for (const { name } of files)
      if (!isPlainName(name)) throw notTheService(this.#transport.url, `has a file "${name}"`);
    await mkdir(folder, { recursive: true });
    const targets: string[] = [];
    for (const { name, sizeBytes, digest } of files) {
      const target = join(folder, name);
      const path = `${pathOf(id)}/content?${new URLSearchParams({ file: name })}`;
      await downloadFile(this.#transport, { path, target, sizeBytes, digest }, options);
      targets.push(target);
    }
    return targets;
  }
}

/** Whether a name stays in its folder on every system. */
function isPlainName(name: string): boolean {
  return name !== '' && name !== '.' && name !== '..' && !/[\\/\0]/.test(name);
}

function pathOf(id: string): string {
  return `/artifacts/${encodeURIComponent(id)}`;
}
