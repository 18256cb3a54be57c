import { fixed, formatDrop } from '../accuracy/page.js';
import type { AccuracyRow, SetAccuracy } from '../accuracy/rows.js';
import { ALL_INT4_COLUMN, DEFAULT_COLUMN, variantName } from '../accuracy/variants.js';
import { markdownTable } from '../shared/markdown-table.js';
import type { PeerRow } from './rows.js';
import { settingName } from './settings.js';

const HEADER = [
  'quantized by',
  'setting',
  'metric',
  'drop ± s.e.',
  'agreement, %',
  'bits, quantized layers',
  'bits, whole model',
  'bytes',
  'layers',
  's',
  'ours at these bits',
  'its bits',
  'its bytes',
  'its metric',
  'its drop ± s.e.',
];

/** What is compared with the peers: what a user gets who asks for a precision and nothing else. */
const OURS: readonly string[] = [DEFAULT_COLUMN, 'int4', ALL_INT4_COLUMN, 'int8'];
/** Bits per weight that do not count as more. */
const TOLERANCE_BITS = 0.05;

/** The peers' rows as a page, each beside ours of the same number of bits. */
export function peersPage(peers: readonly PeerRow[], ours: readonly AccuracyRow[]): string {
  const models = [...new Set(peers.map(({ model }) => model))];
  const versions = [...new Set(peers.flatMap(({ versions }) => (versions === null ? [] : [versionsText(versions)])))];
  const sections = models.map((model) =>
    section(
      model,
      peers.filter((row) => row.model === model),
      ours.filter((row) => row.model === model && OURS.includes(row.column)),
    ),
  );
  return `# Accuracy of onnxruntime's own quantizers, and ours beside them

\`npm run bench -- shared-data SETS\`, then \`npm run bench -- peers SETS --python PYTHON --write\`, PYTHON with
[accuracy-requirements.txt](../peers/accuracy-requirements.txt): ${versions.join('; ')}. Settings that are not named are the tools'
defaults; static int8 models were prepared by quant_pre_process, and where a tool fails without a switch the row names it. Calibration data are the same and preprocessed by the same code,
though fewer: onnxruntime keeps histograms of all values. All files are measured in stock onnxruntime 1.30 on the same samples,
as ours are; drops are positive where a file is worse than the original.

Bits per weight count codes, scales and zero points of the layers that the tool quantized, the first and the last among them; whole-model
bits the file per parameter. Beside each row stands ours ([accuracy.md](accuracy.md)) with the most bits that are not more than
the peer's, of the default at each group size, int4 and int8: no choice by accuracy. Ours have 8-bit activations throughout,
MatMulNBits has them in floating point, and ours keep the first and the last layer at 8 bits, counted here, unless the row says "first and last too". "Not measured yet" is a row that
\`npm run bench -- accuracy SETS\` has not measured.

**Static int8 of all operators, or of layers only.** By default onnxruntime quantizes all operators that it can: a mask of -10⁹ in a
transformer, and values before a batch normalization behind Gemm, which quant_pre_process does not fold, get 8 bits over their whole
range. Rows with "Conv/Gemm/MatMul only" leave those alone and are the ones to compare with. Entropy has the ranges of MinMax where all
calibration data come in one piece: its 128 bins for 128 levels leave no other choice.

**GPTQ as shipped is RTN.** onnxruntime's \`gptq()\` takes the upper Cholesky factor of the inverse second moments and reads it below
the diagonal, where it is zero: with all of the moments or their diagonal alone it gives the same bits, and the perplexity of RTN.
Being ahead of it says nothing about GPTQ. **GPTQ mended** is the same code with the factor that it means to read
([quantize.py](../peers/quantize.py)); nobody ships it, and it is the row to be ahead of.

${sections.join('\n')}`;
}

function versionsText(versions: Readonly<Record<string, string>>): string {
  return Object.entries(versions)
    .map(([name, version]) => `${name} ${version}`)
    .join(', ');
}

function section(model: string, peers: readonly PeerRow[], ours: readonly AccuracyRow[]): string {
  const measured = peers.flatMap(({ result }) => (result === null ? [] : [result]));
  const sets = measured[0]?.accuracies ?? [];
  const original = sets.map(
    ({ dataset, metric, original, samples }) => `${dataset} ${metric} ${fixed(original, 2)} (${samples} samples)`,
  );
  const samples = [...new Set(peers.map(({ calibrationSamples }) => calibrationSamples))].join(', ');
  return `## ${model}

Calibrated on ${samples} samples.${original.length > 0 ? ` Original: ${original.join('; ')}.` : ''}

${sets.map(({ dataset }) => `### ${model}, ${dataset}\n\n${setTable(peers, ours, dataset)}\n`).join('\n')}
${problemList(peers)}
`;
}

/** Each problem once, with the settings that have it. */
function problemList(peers: readonly PeerRow[]): string {
  const problems = new Set(peers.flatMap(({ problem }) => (problem === null ? [] : [problem])));
  return [...problems]
    .map((problem) => {
      const settings = peers.filter((row) => row.problem === problem).map(({ setting }) => settingName(setting));
      return `- ${problem}: ${settings.join('; ')}.`;
    })
    .join('\n');
}

function setTable(peers: readonly PeerRow[], ours: readonly AccuracyRow[], dataset: string): string {
  const lines = peers.flatMap(({ setting, result, versions }) => {
    const accuracy = accuracyOn(dataset, result?.accuracies ?? []);
    if (result === null || accuracy === undefined) return [];
    const { bitsPerWeight, wholeModelBits, sizeBytes, layers, ofLayers, seconds, keptAsFloats, switches = [] } = result;
    const bits = `${fixed(bitsPerWeight, 3)}${keptAsFloats > 0 ? ' if packed; stored as floats' : ''}`;
    return [
      [
        `onnxruntime ${versions?.onnxruntime}`,
        [settingName(setting), ...switches].join(', '),
        fixed(accuracy.quantized, 2),
        formatDrop(accuracy),
        fixed(accuracy.agreement, 1),
        bits,
        fixed(wholeModelBits, 2),
        String(sizeBytes),
        `${layers + keptAsFloats} of ${ofLayers}`,
        fixed(seconds, 1),
        ...oursBeside(ours, bitsPerWeight, dataset),
      ],
    ];
  });
  return markdownTable(HEADER, lines);
}

/** Our row with the most bits that are not more than the peer's. */
export function atBits(ours: readonly AccuracyRow[], bits: number): AccuracyRow | undefined {
  const bitsOf = (row: AccuracyRow) => row.bitsPerWeight.quantizedLayers ?? Number.POSITIVE_INFINITY;
  return ours
    .filter((row) => bitsOf(row) <= bits + TOLERANCE_BITS)
    .sort((a, b) => bitsOf(b) - bitsOf(a))
    .at(0);
}

function oursBeside(ours: readonly AccuracyRow[], bits: number, dataset: string): string[] {
  if (ours.length === 0) return ['not measured yet', '', '', '', ''];
  const row = atBits(ours, bits);
  const accuracy = row && accuracyOn(dataset, row.accuracies);
  if (row === undefined || accuracy === undefined) return ['none', '', '', '', ''];
  return [
    variantName(row),
    fixed(row.bitsPerWeight.quantizedLayers, 3),
    String(row.sizeBytes),
    fixed(accuracy.quantized, 2),
    formatDrop(accuracy),
  ];
}

function accuracyOn(dataset: string, accuracies: readonly SetAccuracy[]): SetAccuracy | undefined {
  return accuracies.find((accuracy) => accuracy.dataset === dataset);
}
