/** For tests: a child that does what hostile models make the engine do. */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { getPriority } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { TritforgeError } from '@tritforge/contracts';
import { serveTask } from './serve-task.js';

/** What the child of the tests can be asked for. */
export type Misbehaviour =
  | { readonly kind: 'echo'; readonly value: unknown }
  | { readonly kind: 'reportEnvironment' }
  | { readonly kind: 'awaitRank'; readonly niceness: number }
  | { readonly kind: 'awaitSettle' }
  | { readonly kind: 'block' }
  | { readonly kind: 'blockWithGrandchild' }
  | { readonly kind: 'allocate'; readonly where: 'heap' | 'buffers' }
  | { readonly kind: 'fillScratch'; readonly sizeBytes: number }
  | { readonly kind: 'findNoSpace'; readonly code: string }
  | { readonly kind: 'die'; readonly signal: NodeJS.Signals }
  | { readonly kind: 'exit' }
  | { readonly kind: 'fail' }
  | { readonly kind: 'failInside' }
  | { readonly kind: 'flood'; readonly reports: number };

const forever = () => new Promise<never>(() => setInterval(() => {}, 1000));

function blockThread(): never {
  for (;;);
}

serveTask<Misbehaviour>({
  async echo({ value }) {
    return value;
  },
  async reportEnvironment() {
    return { environment: { ...process.env }, cwd: process.cwd(), arguments: process.execArgv };
  },
  async awaitRank({ niceness }) {
    const autogroup = '/proc/self/autogroup';
    // Only kernels with such groups have the file.
    const isLower = () =>
      getPriority() === niceness &&
      (!existsSync(autogroup) || readFileSync(autogroup, 'latin1').trim().endsWith(` nice ${niceness}`));
    while (!isLower()) await sleep(20);
    return getPriority();
  },
  async awaitSettle(_task, { onProgress, settle }) {
    onProgress({ phase: 'search', done: 0, total: 1, unit: 'layers', etaSeconds: null });
    return new Promise((resolve) => settle.addEventListener('abort', () => resolve('settled')));
  },
  async block(_task, { onProgress }) {
    onProgress({ phase: 'verify', done: 0, total: 1, unit: String(process.pid), etaSeconds: null });
    blockThread();
  },
  async blockWithGrandchild(_task, { onProgress }) {
    const grandchild = spawn(process.execPath, ['-e', 'for (;;);'], { stdio: 'inherit' });
    onProgress({ phase: 'verify', done: 0, total: 1, unit: String(grandchild.pid), etaSeconds: null });
    return forever();
  },
  async allocate({ where }) {
    const kept: unknown[] = [];
    for (;;) kept.push(where === 'heap' ? new Array(1e5).fill(kept.length) : new Uint8Array(1e7).fill(1));
  },
  async fillScratch({ sizeBytes }, { scratchDir }) {
    writeFileSync(join(scratchDir, 'large'), new Uint8Array(sizeBytes));
    return forever();
  },
  async findNoSpace({ code }) {
    throw Object.assign(new Error(`${code}: write`), { code });
  },
  async die({ signal }, { onProgress }) {
    onProgress({ phase: 'calibrate', done: 1, total: 2, unit: 'samples', etaSeconds: null });
    process.kill(process.pid, signal);
    return forever();
  },
  async exit() {
    process.exit(3);
  },
  async fail() {
    throw new TritforgeError('MODEL_CYCLIC', 'conv1 feeds itself', { node: 'conv1', remediation: 'Cut the cycle.' });
  },
  async failInside() {
    throw new TypeError('undefined is not a tensor');
  },
  async flood({ reports }, { onProgress }) {
    for (let i = 1; i <= reports; i++) {
      onProgress({ phase: 'quantize', done: i, total: reports, unit: 'layers', etaSeconds: null });
      if (i % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
  },
});
