import { hostBytes } from '../prefix/host-bytes.js';
import type { Feeds, HostTensor, Session } from '../runtime/runtime.js';

/** What may be kept of the outputs. */
const MOST_BYTES = 256 * 2 ** 20;

/**
 * A model that is scored on the same samples again and again: what it computed the first time is kept. A run without `fetches`
 * begins the samples anew, as the scoring of models does.
 */
export class RecordedSession implements Session {
  readonly inputs: Session['inputs'];
  readonly outputs: Session['outputs'];
  readonly #session: Session;
  readonly #kept: Map<string, HostTensor>[] = [];
  #bytes = 0;
  #next = 0;

  constructor(session: Session) {
    this.#session = session;
    this.inputs = session.inputs;
    this.outputs = session.outputs;
  }

  async run(feeds: Feeds, fetches?: readonly string[]): Promise<Map<string, HostTensor>> {
    if (fetches === undefined) {
      this.#next = 0;
      return this.#session.run(feeds);
    }
    const at = this.#next++;
    const kept = this.#kept[at];
    if (kept !== undefined && fetches.every((name) => kept.has(name))) return kept;
    const outputs = await this.#session.run(feeds, fetches);
    for (const tensor of outputs.values()) this.#bytes += hostBytes(tensor).byteLength;
    if (this.#kept.length === at && this.#bytes <= MOST_BYTES) this.#kept.push(outputs);
    return outputs;
  }

  release(): Promise<void> {
    return this.#session.release();
  }
}
