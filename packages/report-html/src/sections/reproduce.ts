import type { GateReport, Recipe, Report } from '@tritforge/contracts';
import { formatCount } from '../figures.js';
import { foreign, html, jsonText, type Markup, type Piece } from '../markup.js';
import { type Section, table } from './section.js';

type DatasetEntry = Report['provenance']['datasets'][number];

/** What went in, and the commands that make the same bytes of it. */
export const reproduceSection: Section = {
  id: 'reproduce',
  title: 'Reproduce',
  render: (report) => {
    const { engineVersion, onnxruntimeVersion, kernels, seed } = report.provenance;
    const { note } = preprocessOf(report);
    const kernelNote = kernels === undefined ? '' : `, ${kernels} kernels`;
    return html`<p>Made by Tritforge ${engineVersion} with ONNX Runtime ${onnxruntimeVersion}${kernelNote}, seed ${seed}. ${sameBytes(report)}</p>
${inputTable(report)}${note && html`<p class="note">${note}</p>`}
<h3>On the command line</h3>
<pre tabindex="0"><code>${commandLine(report)}</code></pre>
<h3>Over HTTP</h3>
<pre tabindex="0"><code>${overHttp(report)}</code></pre>`;
  },
};

/** What training and the search for channels add up depends on the processor's instructions, and on the clock where they were given minutes. */
function sameBytes({ fineTune, nce, provenance }: Report): string {
  if (!fineTune && !nce) return 'The same inputs give the same artifact bytes.';
  const recipe = provenance.recipe as Recipe;
  const timed = [
    ...(nce && recipe.nce?.minutes !== undefined ? ['search'] : []),
    ...(fineTune && recipe.fineTune?.minutes !== undefined ? ['training'] : []),
  ];
  if (timed.length === 0) {
    return 'The same inputs give the same artifact bytes on processors of the same kind, with the same kernels.';
  }
  const was = timed.length === 1 ? 'was' : 'were';
  return `Its ${timed.join(' and ')} ${was} given minutes, so another run makes other bytes; with epochs the same inputs give the same ones.`;
}

function inputTable({ model, provenance }: Report): Markup {
  const head = html`<th scope="col" class="text">Input</th><th scope="col" class="text">Digest</th><th scope="col">Samples</th>`;
  const row = (role: string, digest: string, samples: string) =>
    html`<tr><th scope="row">${foreign(role, 40)}</th><td class="text"><code class="digest">${foreign(digest, 80)}</code></td><td>${samples}</td></tr>\n`;
  const datasets = provenance.datasets.map(({ role, digest, samples }) => row(role, digest, formatCount(samples)));
  return table('Inputs', head, [row('model', model.digest, '–'), ...datasets]);
}

function commandLine(report: Report): Piece {
  const { accuracy, latency, gates, provenance } = report;
  const { preprocess } = preprocessOf(report);
  const flags = [
    '--recipe recipe.json',
    ...provenance.datasets.map(({ role }) => datasetFlag(role)),
    preprocess && '--preprocess preprocess.json',
    accuracy && `--metric ${accuracy.metric}`,
    latency && `--threads ${latency.threads}`,
    ...gates.map(gateFlag),
  ].filter((flag) => typeof flag === 'string');
  return [
    hereDocument('recipe.json', provenance.recipe),
    preprocess && hereDocument('preprocess.json', preprocess),
    ['npm run -s tritforge -- quantize model.onnx --out out', ...flags].join(' \\\n  '),
  ];
}

function overHttp(report: Report): Piece {
  const { accuracy, gates, provenance } = report;
  const { preprocess } = preprocessOf(report);
  const limits = gates.filter(({ name }) => Object.hasOwn(GATE_FLAGS, name)).map(({ name, limit }) => [name, limit]);
  const job = {
    recipe: provenance.recipe,
    ...(preprocess !== null && { preprocess }),
    ...(accuracy && { metric: accuracy.metric }),
    ...(limits.length > 0 && { gates: Object.fromEntries(limits) }),
  };
  const parts = [
    '-F model=@model.onnx',
    ...provenance.datasets.map(({ role }) => (fileOf(role) === undefined ? null : `-F ${role}=@${fileOf(role)}`)),
    "-F 'job=<job.json'",
  ].filter((part) => part !== null);
  return [hereDocument('job.json', job), ['curl -sS --fail-with-body "$TRITFORGE/jobs"', ...parts].join(' \\\n  ')];
}

/** Names of files are placeholders: reports know inputs by their digests. The content decides what a file is taken for. */
const DATASET_FILES: Readonly<Record<string, string>> = {
  calibration: 'calibration.npz',
  evaluation: 'evaluation.npz',
  training: 'training.npz',
};

function fileOf(role: string): string | undefined {
  return Object.hasOwn(DATASET_FILES, role) ? DATASET_FILES[role] : undefined;
}

function datasetFlag(role: string): string | null {
  const file = fileOf(role);
  return file === undefined ? null : `--${role} ${file}`;
}

interface KnownPreprocess {
  readonly preprocess: NonNullable<DatasetEntry['preprocess']> | null;
  /** What the commands cannot say. */
  readonly note: string | null;
}

/** One preprocessing serves all datasets of a call; older reports do not say which it was. */
function preprocessOf({ provenance: { datasets } }: Report): KnownPreprocess {
  const known = datasets.map(({ preprocess }) => preprocess);
  const preprocess = known.find((candidate) => candidate !== null && candidate !== undefined) ?? null;
  if (known.includes(undefined)) {
    return { preprocess, note: 'This report does not say how samples were preprocessed: add that if they were.' };
  }
  const isCommon = known.every((candidate) => JSON.stringify(candidate) === JSON.stringify(known[0]));
  const note =
    'The datasets were preprocessed in different ways: upload each with its own (POST /datasets), then name their ids in the job.';
  return { preprocess, note: isCommon ? null : note };
}

const GATE_FLAGS: Readonly<Record<string, string>> = {
  maxAccuracyDrop: '--gate-max-accuracy-drop',
  maxSizeBytes: '--gate-max-size',
  minSpeedup: '--gate-min-speedup',
};

function gateFlag({ name, limit }: GateReport): string | null {
  return Object.hasOwn(GATE_FLAGS, name) ? `${GATE_FLAGS[name]} ${limit}` : null;
}

/** A quoted here-document; no line of indented JSON is the word that ends it. */
function hereDocument(fileName: string, value: unknown): string {
  return `cat > ${fileName} <<'EOF'\n${jsonText(value)}\nEOF\n`;
}
