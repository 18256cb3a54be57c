import type { NceReport } from '@tritforge/contracts';

type Width = NceReport['widths'][number];

const EPOCHS = 20;
const START_SHARES = [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1];
const WARM_UP = 2;
const THRESHOLD = 0.2;

/** A search over the widths of a ResNet-8; `text` stands wherever a name or message of somebody else can. */
export function sampleNce(text: string): NceReport {
  const tied = (node: string) => ({ node: `${text}/${node}`, why: `${text} needs as many channels on every side` });
  const width = (original: number, result: number, layers: readonly string[], ties: Width['ties'] = []): Width => ({
    layers: layers.map((layer) => `${text}/${layer}`),
    original,
    result,
    ties,
  });
  const widths = [
    width(16, 20, ['conv1', 'stack1/conv2'], [tied('stack1/Add')]),
    width(16, 18, ['stack1/conv1']),
    width(32, 32, ['stack2/conv1']),
    width(32, 26, ['stack2/conv2', 'stack2/shortcut'], [tied('stack2/Add')]),
    width(64, 83, ['stack3/conv1']),
    width(64, 51, ['stack3/conv2', 'stack3/shortcut'], [tied('stack3/Add')]),
  ];
  return {
    samples: 2048,
    seconds: 1080,
    widths,
    fixed: [
      { layers: [`${text}/dense`], channels: 10, reasons: [{ node: `${text}/dense`, why: `${text} is an output` }] },
    ],
    macs: { original: 12_501_632, limit: 12_501_632, result: 12_402_688 },
    parameters: { original: 77_706, limit: 77_706, result: 76_990 },
    course: courseOf(widths),
  };
}

/** Probabilities move towards the results, and candidates join while the largest is likely. */
function courseOf(widths: readonly Width[]): NceReport['course'] {
  const candidates = widths.map(({ original }) => [...new Set(START_SHARES.map((s) => Math.round(s * original)))]);
  return Array.from({ length: EPOCHS }, (_, index) => {
    const epoch = index + 1;
    const choices = widths.map(({ original, result }, position) => {
      const channels = candidates[position]!;
      const powers = channels.map((count) => Math.exp(-epoch * 0.35 * (Math.abs(count - result) / original)));
      const sum = powers.reduce((a, b) => a + b, 0);
      const choice = { channels: [...channels], probabilities: powers.map((power) => power / sum) };
      const next = Math.min(channels.at(-1)! + Math.round(original / 10), Math.max(result, original));
      const isLikely = choice.probabilities.at(-1)! > THRESHOLD;
      if (epoch > WARM_UP && isLikely && next > channels.at(-1)!) channels.push(next);
      return choice;
    });
    return {
      epoch,
      seconds: 54 * epoch,
      trainingLoss: 0.9 * 0.9 ** epoch,
      choiceLoss: 0.95 * 0.91 ** epoch,
      temperature: 10 - (9.9 * epoch) / EPOCHS,
      macs: 0.99 - 0.5 * 0.8 ** epoch,
      parameters: 0.98 + 0.25 * 0.85 ** epoch * Math.cos(epoch / 3),
      choices,
    };
  });
}
