import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/**
 * What a line does. `open` passes everything on. `closed` resets connections, and new ones at once. `silent` passes nothing on and takes
 * connections that get no answer; when it opens again, what was held goes on.
 */
export type LineState = 'open' | 'closed' | 'silent';

/** The way of connections from one process to a server, on loopback. */
export interface Line {
  /** Where the process connects to. */
  readonly port: number;
  /** The port of the server, which may be another one after it was started again. */
  target: number;
  set(state: LineState): void;
  /** Resets the connections that there are. */
  cut(): void;
  close(): Promise<void>;
}

/** The two ends of a connection. */
type Ends = readonly [near: Socket, far: Socket];

/** Opens a line to a port of this machine. */
export async function openLine(target: number): Promise<Line> {
  const connections = new Set<Ends>();
  let state: LineState = 'open';
  const server = createServer({ allowHalfOpen: true }, (near) => {
    if (state === 'closed') {
      near.resetAndDestroy();
      return;
    }
    const far = connect({ port: line.target, host: '127.0.0.1', allowHalfOpen: true });
    const ends: Ends = [near, far];
    connections.add(ends);
    for (const end of ends) {
      // What breaks on one side breaks on the other.
      end.on('error', () => reset(ends));
      end.once('close', () => {
        connections.delete(ends);
        for (const other of ends) other.destroy();
      });
    }
    if (state === 'open') join(ends);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const line: Line = {
    port: (server.address() as AddressInfo).port,
    target,
    set: (next) => {
      if (next === 'closed') line.cut();
      if (next === 'silent') for (const ends of connections) part(ends);
      if (next === 'open' && state === 'silent') for (const ends of connections) join(ends);
      state = next;
    },
    cut: () => {
      for (const ends of connections) reset(ends);
    },
    close: async () => {
      line.cut();
      server.close();
      await once(server, 'close');
    },
  };
  return line;
}

function join([near, far]: Ends): void {
  near.pipe(far);
  far.pipe(near);
}

function part([near, far]: Ends): void {
  near.unpipe(far).pause();
  far.unpipe(near).pause();
}

/** A socket that is still sending its end is destroyed: Node 20 never closes one that is reset then, and does not get out at its exit. */
function reset(ends: Ends): void {
  for (const end of ends) {
    if (end.writableEnded) end.destroy();
    else end.resetAndDestroy();
  }
}
