/** Sends requests to the service, in a process of its own. */
import { type ClosedLoad, closedLoop } from './closed-loop.js';
import { makeLoad } from './load-process.js';
import { type OpenLoad, openLoop } from './open-loop.js';

await makeLoad((load: ClosedLoad | OpenLoad) => (load.kind === 'open' ? openLoop(load) : closedLoop(load)));
