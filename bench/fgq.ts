/**
 * How fast weights become ternary, by group size, and what relative error that leaves.
 *
 *     npm run bench -- fgq [--out FILE]
 *
 * The shapes are layers of ResNet-50. Group sizes are interleaved in each round, so that a slow moment of the machine
 * hits all alike; the figures are medians and the spread between the fastest and the slowest round.
 */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { performance } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { dequantize, relativeError, ternarize, type WeightLayout } from '@tritforge/quant-core/fgq';

const GROUP_SIZES = [4, 8, 16, 32, 64];
const ROUNDS = 5;
const RESNET50_WEIGHTS = 25.5e6;

const SHAPES: readonly (WeightLayout & { readonly name: string })[] = [
  { name: '3×3, 256 → 256', outputChannels: 256, inputChannels: 256, taps: 9 },
  { name: '1×1, 512 → 2048', outputChannels: 2048, inputChannels: 512, taps: 1 },
];

const { values: options } = parseArgs({ options: { out: { type: 'string' } } });
const table = report();
console.log(table);
if (options.out) writeFileSync(options.out, table);

function report(): string {
  const rows = SHAPES.flatMap((shape) => measure(shape));
  return `# Ternarizing weights

\`npm run bench -- fgq\` on ${cpus()[0]?.model ?? 'an unknown CPU'}, one thread, Node ${process.version}, commit ${commit()}.
Gaussian weights; medians of ${ROUNDS} interleaved rounds. ResNet-50: what its ${RESNET50_WEIGHTS / 1e6} million weights would take.

| layer | N | million weights/s | spread | ResNet-50, s | relative error |
|---|---|---|---|---|---|
${rows.join('\n')}
`;
}

function measure(layout: (typeof SHAPES)[number]): string[] {
  const weights = gaussianWeights(layout.outputChannels * layout.inputChannels * layout.taps);
  const seconds = new Map(GROUP_SIZES.map((groupSize) => [groupSize, [] as number[]]));
  for (let round = -1; round < ROUNDS; round++) {
    for (const groupSize of GROUP_SIZES) {
      const start = performance.now();
      ternarize(weights, layout, groupSize);
      // The first round warms the compiler up.
      if (round >= 0) seconds.get(groupSize)!.push((performance.now() - start) / 1000);
    }
  }
  return GROUP_SIZES.map((groupSize) => {
    const sorted = seconds.get(groupSize)!.sort((a, b) => a - b);
    const median = sorted[(ROUNDS - 1) / 2]!;
    const rate = weights.length / median;
    const spread = `±${((50 * (sorted.at(-1)! - sorted[0]!)) / median).toFixed(0)} %`;
    const error = relativeError(weights, dequantize(ternarize(weights, layout, groupSize)));
    const cells = [layout.name, groupSize, (rate / 1e6).toFixed(1), spread, (RESNET50_WEIGHTS / rate).toFixed(2)];
    return `| ${[...cells, error.toFixed(4)].join(' | ')} |`;
  });
}

/** Standard normal weights by Box and Muller over a linear congruential generator; always the same. */
function gaussianWeights(count: number): Float32Array {
  let state = 1;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 0.5) / 2 ** 32;
  };
  return Float32Array.from(
    { length: count },
    () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()),
  );
}

function commit(): string {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: import.meta.dirname, encoding: 'utf8' }).trim();
  } catch {
    return 'unknown';
  }
}
