/** START HERE: the page, from top to bottom. */
import { createHash } from 'node:crypto';
import type { Report } from '@tritforge/contracts';
import { foreign, html, Markup } from './markup.js';
import { artifactsSection } from './sections/artifacts.js';
import { channelsSection } from './sections/channels.js';
import { fineTuningSection } from './sections/fine-tuning.js';
import { frontierSection } from './sections/frontier.js';
import { histogramsSection } from './sections/histograms.js';
import { judgementSection, standing } from './sections/judgement.js';
import { layerTableSection } from './sections/layer-table.js';
import { layersSection } from './sections/layers.js';
import { precisionsSection } from './sections/precisions.js';
import { reproduceSection } from './sections/reproduce.js';
import { NAME_LENGTH, type Section } from './sections/section.js';
import { sensitivitySection } from './sections/sensitivity.js';
import { summarySection } from './sections/summary.js';
import { STYLE } from './style.js';

const SECTIONS: readonly Section[] = [
  summarySection,
  judgementSection,
  frontierSection,
  channelsSection,
  fineTuningSection,
  layersSection,
  sensitivitySection,
  histogramsSection,
  precisionsSection,
  artifactsSection,
  layerTableSection,
  reproduceSection,
];

const STYLE_ELEMENT = new Markup(`<style>${STYLE}</style>`);

/** Nothing may be loaded or run; the one style sheet is known by its digest. */
const POLICY = `default-src 'none'; style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'; base-uri 'none'; form-action 'none'`;

/** The Content-Security-Policy to serve reports with; the page itself carries the part that a page can. */
export const REPORT_SECURITY_POLICY = `${POLICY}; frame-ancestors 'none'; sandbox`;

/**
 * A report as one HTML file that loads nothing, runs nothing, and prints. The same report gives the same bytes. Reports of earlier
 * versions lack some parts; those are left out. Everything in the report is taken for text.
 */
export function renderReport(report: Report): string {
  const name = foreign(report.artifacts[0]?.fileName ?? 'Quantization report', NAME_LENGTH);
  const parts = SECTIONS.flatMap((section) => {
    const content = section.render(report);
    return content === null ? [] : [{ ...section, content }];
  });
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${name} – Tritforge report</title>
${STYLE_ELEMENT}
</head>
<body>
<header>
<p class="kind">Tritforge quantization report</p>
<h1><bdi>${name}</bdi></h1>
${standing(report)}
<nav aria-label="Sections"><ul>${parts.map(({ id, title }) => html`<li><a href="#${id}">${title}</a></li>`)}</ul></nav>
</header>
<main>
${parts.map(({ id, title, content }) => html`<section id="${id}" aria-labelledby="${id}-title">\n<h2 id="${id}-title">${title}</h2>\n${content}\n</section>\n`)}</main>
</body>
</html>
`.text;
}
