import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const MAX_OUTPUT_BYTES = 2 ** 26;

/**
 * Runs a compiled script in a process of its own, which prints its measurement as JSON and nothing else.
 * @throws Error with what the process complained of when it fails
 */
export async function measureInProcess<Measurement>(script: string, ...args: readonly string[]): Promise<Measurement> {
  const { stdout } = await promisify(execFile)(process.execPath, ['--enable-source-maps', script, ...args], {
    maxBuffer: MAX_OUTPUT_BYTES,
  });
  return JSON.parse(stdout) as Measurement;
}
