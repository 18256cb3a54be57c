import { cpus, loadavg } from 'node:os';
import type { Settings } from './train-from-scratch.js';
import type { Training } from './train-one.js';

/** The table of epochs, and what they led to. */
export function trainingPage(settings: Settings, { curve, engine, cpuSeconds, test, commit }: Training): string {
  const { epochs, batch, threads, learningRate, seed } = settings;
  const share = test.value / 100;
  const error = 100 * Math.sqrt((share * (1 - share)) / test.samples);
  const seconds = curve.map((epoch, i) => epoch.seconds - (curve[i - 1]?.seconds ?? 0));
  const median = seconds.toSorted((a, b) => a - b)[Math.floor(seconds.length / 2)]!;
  const rows = curve.map(({ epoch, trainingLoss, heldOut }, i) => {
    const cells = [trainingLoss.toFixed(4), heldOut.loss.toFixed(4), heldOut.top1.toFixed(1), seconds[i]!.toFixed(1)];
    return `| ${[epoch, ...cells].join(' | ')} |`;
  });
  return `# A network trained from its graph alone

\`npm run bench -- train-fp32 --epochs ${epochs}\` on ${cpus()[0]?.model ?? 'an unknown CPU'}, Node ${process.version}, commit ${commit}. Trained by ${engine}.
ResNet-8 (MLPerf Tiny): the graph of its ONNX file, weights drawn anew, on the 50,000 training images of CIFAR-10 as JPEG, of which 1000
are kept aside. ${threads} threads, batches of ${batch}, learning rate ${learningRate} with warm-up and cosine, Nesterov momentum 0.9, weight decay 5e-4, images
shifted by up to 2 pixels and mirrored, seed ${seed}. The network is that of the last epoch: none is chosen.

**Top-1 on the ${test.samples} test images, as JPEG of quality 75: ${test.value.toFixed(2)} ± ${error.toFixed(2)} %**, measured in stock ${test.engine} on the file
that was written. Training took ${(curve.at(-1)!.seconds / 60).toFixed(1)} minutes, ${median.toFixed(1)} s for an epoch (median) and ${(cpuSeconds / 60).toFixed(0)} minutes of CPU time in all, reading and
measuring included, with a load of ${loadavg()[2]!.toFixed(1)} on ${cpus().length} cores over the last quarter of an hour: above
${cpus().length}, times are too long.

| epoch | training loss | held-out loss | held-out top-1, % | s |
|---|---|---|---|---|
${rows.join('\n')}
`;
}
