import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** Bytes of one direction, of all connections together, after which the connection that carries them breaks. */
interface Cut {
  readonly direction: 'requests' | 'answers';
  readonly afterBytes: number;
}

/** A line between a client and a service, which can break and lead elsewhere. It stays at one address while services come and go. */
export class Wire {
  readonly #server: Server;
  readonly #open = new Set<Socket>();
  #target: URL;
  #cuts: Cut[] = [];
  /** Since the cut before, in the direction of the next one. */
  #carriedBytes = 0;
  #isDown = false;
  #answeredBytes = 0;

  private constructor(server: Server, target: string) {
    this.#server = server;
    this.#target = new URL(target);
    server.on('connection', (client) => this.#join(client));
  }

  static async to(target: string): Promise<Wire> {
    const wire = new Wire(createServer(), target);
    wire.#server.listen(0, '127.0.0.1');
    await once(wire.#server, 'listening');
    return wire;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Bytes that services have sent through it. */
  get answeredBytes(): number {
    return this.#answeredBytes;
  }

  /** How many of the cuts are still to come. */
  get cutsLeft(): number {
    return this.#cuts.length;
  }

  /** From now on the line is cut so often, each time counted from the time before. */
  cut(...cuts: Cut[]): void {
    this.#cuts = cuts;
    this.#carriedBytes = 0;
  }

  /** Breaks all connections, and all that come until it leads somewhere again. */
  down(): void {
    this.#isDown = true;
    for (const socket of this.#open) socket.destroy();
  }

  leadTo(target: string): void {
    this.#target = new URL(target);
    this.#isDown = false;
  }

  async close(): Promise<void> {
    this.down();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #join(client: Socket): void {
    if (this.#isDown) return void client.destroy();
    const service = connect(Number(this.#target.port), this.#target.hostname);
    const both = [client, service];
    const breakOff = () => {
      for (const socket of both) socket.destroy();
    };
    for (const socket of both) {
      this.#open.add(socket);
      socket.on('error', breakOff).on('close', () => {
        this.#open.delete(socket);
        breakOff();
      });
    }
    const carry = (direction: Cut['direction'], from: Socket, to: Socket) =>
      from.on('data', (chunk: Buffer) => {
        const part = this.#carried(direction, chunk);
        if (part.length < chunk.length) return void to.end(part, breakOff);
        if (to.write(part)) return;
        from.pause();
        to.once('drain', () => from.resume());
      });
    carry('requests', client, service);
    carry('answers', service, client);
  }
  /** As much of a chunk as passes. */
  #carried(direction: Cut['direction'], chunk: Buffer): Buffer {
    const cut = this.#cuts[0];
    if (direction === 'answers') this.#answeredBytes += chunk.length;
    if (cut?.direction !== direction) return chunk;
    const left = cut.afterBytes - this.#carriedBytes;
    this.#carriedBytes += chunk.length;
    if (chunk.length <= left) return chunk;
    this.#cuts.shift();
    this.#carriedBytes = 0;
    if (direction === 'answers') this.#answeredBytes -= chunk.length - left;
    return chunk.subarray(0, left);
  }
}
