import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const SERVER = fileURLToPath(new URL('./s3-process.js', import.meta.url));
const BUCKET = 'tritforge-test';
/** s3rver makes the tokens of its pages with a cipher that OpenSSL counts as legacy. */
const NODE_OPTIONS = ['--openssl-legacy-provider'];

/**
 * A real S3 server (s3rver) on loopback, with one bucket. It checks neither secrets nor signatures, nor checksums nor lengths, so what a damaged
 * upload leads to has to be shown in another way.
 */
export interface TestS3 {
  readonly endpoint: string;
  readonly bucket: string;
  /** Where it keeps its files. */
  readonly dir: string;
  /** Environment variables from which the SDK takes its credentials. */
  readonly credentials: Readonly<Record<string, string>>;
  /** Environment variables that make a service store its files there. */
  readonly settings: Readonly<Record<string, string>>;
  /** Writes an object where the server keeps it. */
  put(key: string, content: Buffer): Promise<void>;
  /** Files of unfinished multipart uploads. */
  unfinishedParts(): Promise<string[]>;
  close(): Promise<void>;
}

/** Starts a server that keeps its objects in a folder, which is created when missing. */
export async function startTestS3(dir: string): Promise<TestS3> {
  await mkdir(dir, { recursive: true });
  const server = fork(SERVER, [dir, BUCKET], { execArgv: NODE_OPTIONS, stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  const endpoint = `http://127.0.0.1:${await portOf(server)}`;
  return {
    endpoint,
    bucket: BUCKET,
    dir,
    // The account that the server knows.
    credentials: { AWS_ACCESS_KEY_ID: 'S3RVER', AWS_SECRET_ACCESS_KEY: 'S3RVER' },
    settings: { TRITFORGE_S3_BUCKET: BUCKET, TRITFORGE_S3_ENDPOINT: endpoint },
    put: async (key, content) => {
      const file = path.join(dir, BUCKET, `${key}._S3rver_object`);
      await mkdir(path.dirname(file), { recursive: true });
      await writeFile(file, content);
    },
    unfinishedParts: () => filesBelow(path.join(dir, BUCKET, '._S3rver_uploads')),
    close: async () => {
      if (server.exitCode !== null || server.signalCode !== null) return;
      const ended = once(server, 'exit');
      server.kill('SIGKILL');
      await ended;
    },
  };
}

async function portOf(server: ChildProcess): Promise<number> {
  const ended = once(server, 'exit').then(() => {
    throw new Error('the S3 server ended before it listened');
  });
  const [port] = await Promise.race([once(server, 'message'), ended]);
  return port as number;
}

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isFile()).map((entry) => entry.name);
}
