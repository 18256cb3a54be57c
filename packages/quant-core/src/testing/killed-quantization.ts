import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Phase } from '@tritforge/contracts';
import type { QuantizeRequest } from '../quantize-request.js';

const DYING = fileURLToPath(new URL('./dying-quantization.js', import.meta.url));

/** Starts a request in a process that is killed once a phase has done so much. */
export function killedIn(phase: Phase, done: number, request: QuantizeRequest): void {
  const { signal, stderr } = spawnSync(process.execPath, [DYING, JSON.stringify(request), String(done), phase]);
  assert.equal(signal, 'SIGKILL', String(stderr));
}
