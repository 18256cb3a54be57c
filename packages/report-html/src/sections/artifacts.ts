import type { ArtifactReport } from '@tritforge/contracts';
import { formatBytes, formatNumber } from '../figures.js';
import { foreign, html, type Markup } from '../markup.js';
import { verdict } from './judgement.js';
import { NAME_LENGTH, type Section, table } from './section.js';

/** The files, and that they compute what the engine means. */
export const artifactsSection: Section = {
  id: 'artifacts',
  title: 'Artifacts',
  render: ({ artifacts }) => {
    if (artifacts.length === 0) return null;
    const head = html`<th scope="col" class="text">File</th><th scope="col" class="text">Profile</th><th scope="col">Size</th><th scope="col">Opset</th><th scope="col" class="text">Verification</th><th scope="col">Largest difference</th><th scope="col">SQNR, dB</th>`;
    return html`${table('Files and how they compare with the reference of the engine', head, artifacts.map(row))}
<p class="note">Each file was loaded and run by ONNX Runtime on samples, and compared with a model whose weights the engine itself decoded.</p>`;
  },
};

function row({
  profile,
  fileName,
  externalDataFileName,
  sizeBytes,
  digest,
  opset,
  verification,
}: ArtifactReport): Markup {
  const { passed, engine, samples, maxAbsError, sqnrDb } = verification;
  return html`<tr><th scope="row"><bdi class="node">${foreign(fileName, NAME_LENGTH)}</bdi>${externalDataFileName !== null && html`<br><bdi class="node">${foreign(externalDataFileName, NAME_LENGTH)}</bdi>`}<br><code class="digest">${foreign(digest, 80)}</code></th><td class="text">${profile}</td><td>${formatBytes(sizeBytes)}</td><td>${opset}</td><td class="text">${verdict(passed, 'passed', 'failed')}<br><small>${engine}, ${samples} samples</small></td><td>${maxAbsError === null ? '–' : maxAbsError.toPrecision(2)}</td><td>${formatNumber(sqnrDb, 1)}</td></tr>\n`;
}
