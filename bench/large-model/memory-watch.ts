import { childrenOf, memoryOf } from '../shared/process-memory.js';

const INTERVAL_MS = 25;

/** Largest memory seen, in bytes. */
export interface Peak {
  /** Resident: pages of mapped files included, which the kernel may drop at any time. */
  residentBytes: number;
  /** Held by the process itself. */
  anonymousBytes: number;
}

/** Watches processes and what they start (Linux), and keeps their peaks by stage and role. */
export class MemoryWatch {
  readonly #roots: readonly { readonly role: string; readonly childRole: string; readonly pid: number }[];
  readonly #peaks = new Map<string, Map<string, Peak>>();
  readonly #timer: NodeJS.Timeout;
  #stage = '';

  /** @param roots processes; what they start has a role of its own, and counts in their sum */
  constructor(roots: readonly { readonly role: string; readonly childRole: string; readonly pid: number }[]) {
    this.#roots = roots;
    this.#timer = setInterval(() => this.#sample(), INTERVAL_MS);
  }

  /** What the processes are doing from now on. */
  enter(stage: string): void {
    this.#stage = stage;
  }

  /** Peaks of a role in each stage, in the order of the stages. */
  peaksOf(role: string): { readonly stage: string; readonly peak: Peak }[] {
    return [...this.#peaks].flatMap(([stage, roles]) => {
      const peak = roles.get(role);
      return peak === undefined ? [] : [{ stage, peak }];
    });
  }

  /** The largest peak of a role. */
  largest(role: string): Peak {
    const peaks = this.peaksOf(role).map(({ peak }) => peak);
    return {
      residentBytes: Math.max(0, ...peaks.map(({ residentBytes }) => residentBytes)),
      anonymousBytes: Math.max(0, ...peaks.map(({ anonymousBytes }) => anonymousBytes)),
    };
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #sample(): void {
    for (const { role, childRole, pid } of this.#roots) {
      const own = memoryOf(pid);
      const started = childrenOf(pid).map(memoryOf);
      this.#note(role, own);
      for (const peak of started) this.#note(childRole, peak);
      this.#note(`${role} and ${childRole}`, sum([own, ...started]));
    }
  }

  #note(role: string, { residentBytes, anonymousBytes }: Peak): void {
    const roles = this.#peaks.get(this.#stage) ?? new Map<string, Peak>();
    this.#peaks.set(this.#stage, roles);
    const peak = roles.get(role);
    if (peak === undefined) {
      roles.set(role, { residentBytes, anonymousBytes });
      return;
    }
    peak.residentBytes = Math.max(peak.residentBytes, residentBytes);
    peak.anonymousBytes = Math.max(peak.anonymousBytes, anonymousBytes);
  }
}

function sum(peaks: readonly Peak[]): Peak {
  return {
    residentBytes: peaks.reduce((total, { residentBytes }) => total + residentBytes, 0),
    anonymousBytes: peaks.reduce((total, { anonymousBytes }) => total + anonymousBytes, 0),
  };
}
