import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { describe, it, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { EXIT_UNSUPPORTED } from './testing/build-exit-code.js';

const buildScript = fileURLToPath(new URL('../build.mjs', import.meta.url));
const EMULATOR = 'qemu-aarch64-static';
/** Random convolutions per layout; each goes through every instruction set that the processor has. */
const CASES = Number(process.env.TRITFORGE_KERNEL_CASES ?? 0);
const SEED = process.env.TRITFORGE_KERNEL_SEED ?? '1';

interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** How the programs of src/native/test are built and run. */
interface Variant {
  readonly title: string;
  readonly buildOptions: readonly string[];
  readonly runner: readonly string[];
  /** Random convolutions per layout. */
  readonly cases: number;
  readonly skip?: string | false;
}

const VARIANTS: readonly Variant[] = [
  { title: 'as shipped', buildOptions: [], runner: [], cases: 300 },
  {
    title: 'under the address and undefined-behaviour sanitizers',
    buildOptions: ['--sanitize'],
    runner: [],
    cases: 30,
  },
  {
    title: 'on emulated ARM',
    buildOptions: ['--arch', 'arm64'],
    runner: process.arch === 'arm64' ? [] : [EMULATOR],
    cases: 60,
    skip: process.arch !== 'arm64' && spawnSync(EMULATOR, ['--version']).status !== 0 && `${EMULATOR} is not installed`,
  },
];

for (const { title, buildOptions, runner, cases, skip = false } of VARIANTS) {
  describe(`native kernels, ${title}`, { skip }, () => {
    const program = async (context: TestContext, name: string, ...args: string[]) => {
      const built = await run([process.execPath, buildScript, '--program', name, ...buildOptions]);
      // Standard error says which compiler is missing, or that it cannot make this target.
      if (built.status === EXIT_UNSUPPORTED) return context.skip(built.stderr.trim());
      assert.equal(built.status, 0, built.stderr);
      const { status, stdout, stderr } = await run([...runner, built.stdout.trim(), ...args]);
      assert.equal(status, 0, `${name} ${args.join(' ')}\n${stdout}${stderr}`);
      context.diagnostic(stdout.trim().replaceAll('\n', '; '));
    };

    it('round like onnxruntime', (context) => program(context, 'requantize_test'));
    it('multiply float64 matrices with the same bits on all instruction sets', (context) =>
      program(context, 'matrix_product_test'));
    it('train in float32 as the formulas in float64 say', (context) =>
      program(context, 'training_test', String(CASES || cases), SEED));
    it('have a reference product that computes the formula', (context) => program(context, 'reference_gemm_test'));
    it('equal the reference bit for bit on random convolutions', (context) =>
      program(context, 'convolution_test', String(CASES || cases), SEED));
    it('equal the reference bit for bit on large convolutions and strange borders', (context) =>
      program(context, 'large_convolution_test', SEED));
    it('refuse damaged and hostile packed weights, or run on what they opened', (context) =>
      program(context, 'packed_weights_test', String(10 * (CASES || cases)), SEED));
    it('equal the reference bit for bit on random products from float32 to float32', (context) =>
      program(context, 'gemv_test', String(CASES || cases), SEED));
  });
}

function run([command, ...args]: readonly string[]): Promise<Outcome> {
  const child = spawn(command!, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text) => {
    stderr += text;
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject).once('close', (status) => resolve({ status, stdout, stderr }));
  });
}
