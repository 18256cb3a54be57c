import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after } from 'node:test';
import { fileURLToPath } from 'node:url';

export const BINARY = fileURLToPath(new URL('../../bin/tritforge.mjs', import.meta.url));
export const EXAMPLE = fileURLToPath(new URL('../../../../examples/shapes/', import.meta.url));
export const MODEL = join(EXAMPLE, 'model.onnx');
export const PREPROCESS = ['--preprocess', join(EXAMPLE, 'preprocess.json')];
export const CALIBRATION = ['--calibration', join(EXAMPLE, 'calibration.npz'), ...PREPROCESS];
export const EVALUATION = ['--evaluation', join(EXAMPLE, 'evaluation.zip')];
/** Removed when the tests of the file are over. */
export const folder = mkdtempSync(join(tmpdir(), 'tritforge-cli-'));
after(() => rmSync(folder, { recursive: true }));
let folders = 0;

/** A path that does not exist yet. */
export function newPath(): string {
  return join(folder, `out${folders++}`);
}

interface Run {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export async function outcomeOf(child: ChildProcess): Promise<Run> {
  const [[exitCode], stdout, stderr] = await Promise.all([
    once(child, 'exit'),
    text(child.stdout!),
    text(child.stderr!),
  ]);
  return { exitCode, stdout, stderr };
}

export function start(...args: string[]): ChildProcess {
  return spawn(process.execPath, [BINARY, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
}

export function tritforge(...args: string[]): Promise<Run> {
  return outcomeOf(start(...args));
}
