import { fileURLToPath } from 'node:url';
import type { ClosedLoad } from './closed-loop.js';
import { startLoad } from './load-process.js';
import type { LoadResult } from './load-result.js';
import type { OpenLoad } from './open-loop.js';

const SCRIPT = fileURLToPath(new URL('./generate-load.js', import.meta.url));

/** Puts a load on the service from a process of its own. */
export function runLoad(load: ClosedLoad | OpenLoad): Promise<LoadResult> {
  return startLoad<ClosedLoad | OpenLoad, LoadResult>(SCRIPT, load).result;
}
