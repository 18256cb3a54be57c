import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const execute = promisify(execFile);
const FETCH_SCRIPT = fileURLToPath(new URL('../../../../scripts/fetch-redis.mjs', import.meta.url));

/** A real Redis server without persistence. */
export interface TestRedis {
  readonly redisUrl: string;
  close(): Promise<void>;
}

/** Starts a Redis server, or returns the reason why there is none to start. */
export async function startTestRedis(): Promise<TestRedis | string> {
  const found = await execute(process.execPath, [FETCH_SCRIPT]).catch((error: { stderr: string }) => error);
  if (!('stdout' in found)) return found.stderr.trim();
  const port = await freePort();
  const settings = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', '/'];
  const server = spawn(found.stdout.trim(), settings, { stdio: 'ignore' });
  const close = async (): Promise<void> => {
    if (server.exitCode !== null || server.signalCode !== null) return;
    const ended = once(server, 'exit');
    server.kill('SIGKILL');
    await ended;
  };
  if (await answers(server, port)) return { redisUrl: `redis://127.0.0.1:${port}`, close };
  await close();
  return 'The Redis server did not start.';
}

async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address ? address.port : 0;
}

/** Waits until the server accepts a connection; false when it ended or never does. */
async function answers(server: ChildProcess, port: number): Promise<boolean> {
  for (let attempt = 0; attempt < 200 && server.exitCode === null; attempt++) {
    const socket = connect(port, '127.0.0.1');
    const connected = await once(socket, 'connect').then(
      () => true,
      () => false,
    );
    socket.destroy();
    if (connected) return true;
    await sleep(25);
  }
  return false;
}
