/** The process of a job that is measured: gets a request, tells how far it is, and sends what it took. */
import { createOnnxRuntime, type QuantizeRequest, quantize } from '@tritforge/quant-core';
import type { CostMessage, LayerCost } from './measure-job.js';

/** When the time left is compared with what it became, as shares of the whole time. */
const SHARES = [0.1, 0.25, 0.5, 0.75, 0.9];

process.once('message', (request: QuantizeRequest) => void run(request));

const send = (message: CostMessage) => process.send?.(message);

async function run(request: QuantizeRequest): Promise<void> {
  const startMs = performance.now();
  const seconds: Record<string, number> = {};
  const layerTimesMs: number[] = [];
  const estimates: { atMs: number; leftSeconds: number }[] = [];
  let [phase, sinceMs] = ['', startMs];
  const enter = (next: string) => {
    const nowMs = performance.now();
    if (phase !== '') seconds[phase] = (seconds[phase] ?? 0) + (nowMs - sinceMs) / 1000;
    [phase, sinceMs] = [next, nowMs];
    send({ phase: next });
  };
  const report = await quantize(request, {
    runtime: createOnnxRuntime(),
    onProgress: (progress) => {
      if (progress.phase !== phase) enter(progress.phase);
      const nowMs = performance.now();
      if (progress.phase === 'quantize') layerTimesMs[progress.done] = nowMs;
      if (progress.etaSeconds !== null) estimates.push({ atMs: nowMs - startMs, leftSeconds: progress.etaSeconds });
    },
  });
  enter('');
  const solved = report.layers.filter(({ applied, shape }) => applied.bits !== null && shape !== null);
  const layers = solved.map(({ node, op, shape, applied }, i): LayerCost => {
    const layerSeconds = (layerTimesMs[i + 1]! - layerTimesMs[i]!) / 1000;
    const columns = op === 'MatMul' ? shape!.at(-2)! : shape!.slice(1).reduce((all, size) => all * size, 1);
    return { node, shape: shape!, columns, bits: applied.bits!, seconds: layerSeconds };
  });
  const totalSeconds = (performance.now() - startMs) / 1000;
  const [artifact] = report.artifacts;
  const bitsPerWeight = artifact!.bitsPerWeight.quantizedLayers;
  const expectations = SHARES.map((share) => {
    const estimate = estimates.findLast(({ atMs }) => atMs <= share * totalSeconds * 1000);
    const leftSeconds = estimate === undefined ? null : estimate.leftSeconds;
    return { share, leftSeconds, foundSeconds: totalSeconds - (estimate?.atMs ?? 0) / 1000 };
  });
  send({ outcome: { totalSeconds, seconds, layers, expectations, digest: artifact!.digest, bitsPerWeight } });
  process.disconnect();
}
