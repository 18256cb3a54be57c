/** Lengths of a bar in a table cell, from `w0` to `w28`. */
export const BAR_STEPS = 28;

const BAR_WIDTHS = Array.from({ length: BAR_STEPS + 1 }, (_, step) => `.w${step} { --w: ${step}; }`).join(' ');

/** The style sheet of a report: fonts of the system, light and dark, paper. Colours are told apart by lightness too. */
export const STYLE = `
:root {
  --paper: #fdfdfc; --raised: #f4f4f1; --ink: #1c1e22; --soft: #565c66; --rule: #dcdcd6; --link: #1d5a9e;
  --good: #1a6b3c; --bad: #a8281c;
  --n128: #0c2c58; --n64: #14407a; --n32: #1f5799; --n16: #2f6db5; --n8: #4583c9; --n4: #5a92d1;
  --planes: #7a4fb0; --uniform: #a03a78; --int4: #1d8274; --int8: #b8620e; --float: #84868c;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --paper: #15171a; --raised: #1e2125; --ink: #e8e9eb; --soft: #a6acb5; --rule: #33373d; --link: #82b6ee;
    --good: #6cc792; --bad: #f08f80;
    --n128: #3d74b8; --n64: #4c86cc; --n32: #6098d9; --n16: #77aae4; --n8: #90bdee; --n4: #accff6;
    --planes: #b392e0; --uniform: #e08fc0; --int4: #52bfae; --int8: #e69a4a; --float: #85898f;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-padding-top: 3.5rem; }
body {
  margin: 0 auto; max-width: 74rem; padding: 2.5rem 1.5rem 4rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Helvetica Neue", sans-serif;
  font-variant-numeric: tabular-nums lining-nums;
}
h1, h2, h3, caption { line-height: 1.25; text-wrap: balance; }
h1 { margin: 0; font-size: 1.75rem; font-weight: 650; letter-spacing: -0.01em; overflow-wrap: anywhere; }
h2 { margin: 3rem 0 1rem; padding-top: 0.6rem; border-top: 1px solid var(--rule); font-size: 1.25rem; font-weight: 650; }
h3 { margin: 1.5rem 0 0.5rem; font-size: 1rem; font-weight: 650; }
p { margin: 0.5rem 0; max-width: 46rem; }
a { color: var(--link); text-decoration-thickness: 1px; text-underline-offset: 0.15em; }
a:focus-visible, pre:focus-visible, .scroll:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
small, .note { color: var(--soft); font-size: 0.8125rem; line-height: 1.45; }
.kind { margin: 0 0 0.25rem; color: var(--soft); font-size: 0.875rem; }
.standing { display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem; max-width: none; color: var(--soft); }
.good { color: var(--good); font-weight: 600; }
.bad { color: var(--bad); font-weight: 600; }
nav ul { display: flex; flex-wrap: wrap; gap: 0.25rem 1.1rem; margin: 1rem 0 0; padding: 0; list-style: none; font-size: 0.875rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(12.5rem, 1fr)); gap: 1px; margin: 0 0 1.5rem; border: 1px solid var(--rule); border-radius: 6px; overflow: hidden; background: var(--rule); }
.tiles div { padding: 0.9rem 1.1rem; background: var(--paper); }
.tiles dt { color: var(--soft); font-size: 0.8125rem; }
.tiles dd { margin: 0; }
.tiles strong { display: block; font-size: 1.75rem; font-weight: 600; line-height: 1.3; letter-spacing: -0.015em; }
.tiles span { display: block; color: var(--soft); font-size: 0.8125rem; line-height: 1.4; }
.scroll { margin: 0.75rem 0 1.25rem; overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.875rem; line-height: 1.4; }
caption { padding: 0 0 0.4rem; color: var(--soft); font-size: 0.8125rem; text-align: left; }
th, td { padding: 0.3rem 0.9rem 0.3rem 0; border-bottom: 1px solid var(--rule); text-align: right; vertical-align: top; white-space: nowrap; }
th:last-child, td:last-child { padding-right: 0; }
thead th { color: var(--soft); font-weight: 500; vertical-align: bottom; white-space: normal; }
tbody th { font-weight: 400; }
th[scope=row], .text { text-align: left; white-space: normal; }
tr:target { background: var(--raised); }
.comparison td, .comparison th { padding-right: 1.6rem; }
.wish { min-width: 8.5rem; }
.why { min-width: 13rem; }
.layers { width: 100%; }
.layers tbody th { min-width: 12rem; }
.layers td.text { min-width: 9rem; }
.layers td.text small { color: var(--soft); }
.whole, .swatched { white-space: nowrap; }
.figures { display: flex; flex-wrap: wrap; gap: 0 0.9rem; }
.histograms + .note { margin-top: 1rem; }
.node { overflow-wrap: anywhere; }
code, pre { font-family: ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: 0.8125rem; }
.digest { white-space: nowrap; color: var(--soft); font-size: 0.75rem; }
pre { margin: 0.5rem 0; padding: 0.9rem 1.1rem; overflow-x: auto; border: 1px solid var(--rule); border-radius: 6px; background: var(--raised); line-height: 1.5; }
.warnings { margin: 0.75rem 0; }
.warnings div { margin: 0 0 0.75rem; padding-left: 0.9rem; border-left: 3px solid var(--int8); }
.warnings dt { font-size: 0.8125rem; font-weight: 600; letter-spacing: 0.02em; }
.warnings dd { margin: 0.1rem 0; max-width: 46rem; font-size: 0.875rem; overflow-wrap: anywhere; }
.legend { display: flex; flex-wrap: wrap; gap: 0.3rem 1.5rem; margin: 0.5rem 0; padding: 0; list-style: none; font-size: 0.8125rem; }
.swatch { width: 0.7rem; height: 0.7rem; margin-right: 0.45rem; overflow: visible; vertical-align: -0.02rem; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 27rem), 1fr)); gap: 1rem 2rem; }
.plots svg { width: 100%; max-width: 42rem; height: auto; }
.bars { display: block; width: 100%; min-width: 40rem; height: auto; }
.histograms { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 18rem), 1fr)); gap: 1.5rem 2rem; }
figure { margin: 0; break-inside: avoid; }
figcaption { margin-bottom: 0.4rem; font-size: 0.875rem; line-height: 1.35; }
.histogram { display: block; width: 100%; max-width: 24rem; height: auto; }
svg text { fill: var(--soft); font-size: 11.5px; font-variant-numeric: tabular-nums; }
svg text.title { fill: var(--ink); font-size: 12px; }
svg text.name { fill: var(--ink); }
.grid { fill: none; stroke: var(--rule); }
.axis { fill: none; stroke: var(--soft); }
.front { fill: none; stroke: var(--n16); stroke-width: 1.5; }
.limit { fill: none; stroke: var(--bad); stroke-dasharray: 5 3; }
svg text.gate { fill: var(--bad); }
.l-held-out { fill: none; stroke: var(--n16); stroke-width: 2; }
.l-training { fill: none; stroke: var(--int8); stroke-width: 1.5; }
.l-macs { fill: none; stroke: var(--n16); stroke-width: 2; }
.l-parameters { fill: none; stroke: var(--int8); stroke-width: 2; stroke-dasharray: 6 3; }
circle.l-macs { fill: var(--n16); stroke: none; }
circle.l-parameters { fill: var(--int8); stroke: none; }
circle.l-held-out { fill: var(--n16); stroke: none; }
circle.l-training { fill: var(--int8); stroke: none; }
.l-start { fill: none; stroke: var(--soft); stroke-dasharray: 5 3; }
.p-original { fill: var(--paper); stroke: var(--ink); stroke-width: 2; }
.p-int8 { fill: var(--int8); }
.p-result { fill: var(--ink); }
.p-kept { fill: var(--n16); }
.p-tried { fill: none; stroke: var(--soft); stroke-width: 1.5; }
.k-n128 { --k: var(--n128); } .k-n64 { --k: var(--n64); } .k-n32 { --k: var(--n32); } .k-n16 { --k: var(--n16); } .k-n8 { --k: var(--n8); } .k-n4 { --k: var(--n4); }
.k-planes { --k: var(--planes); } .k-uniform { --k: var(--uniform); } .k-int4 { --k: var(--int4); } .k-int8 { --k: var(--int8); } .k-float { --k: var(--float); }
svg [class^=k-] { fill: var(--k); }
.swatched::before { content: ""; display: inline-block; width: 0.7rem; height: 0.7rem; margin-right: 0.45rem; background: var(--k); vertical-align: -0.02rem; }
.h-original { fill: var(--float); }
.h-quantized { fill: var(--n16); }
.c-before { fill: none; stroke: var(--ink); }
.c-grew { fill: var(--n64); }
.c-shrank { fill: var(--int8); }
.c-stayed { fill: var(--float); }
.heat { fill: var(--n16); shape-rendering: crispEdges; }
.apart { unicode-bidi: isolate; }
.cut { fill: none; stroke: var(--paper); stroke-width: 3; }
.hover { fill: transparent; }
.hover:hover { fill: var(--ink); fill-opacity: 0.08; }
.bar { width: 4.5rem; text-align: left; }
.bar::before { content: ""; display: inline-block; width: calc(var(--w) * 2px); height: 0.5rem; background: var(--k); vertical-align: 0.05rem; }
${BAR_WIDTHS}
@media screen and (min-width: 72rem) {
  .scroll { overflow: visible; }
  thead th { position: sticky; top: 0; padding-top: 0.5rem; background: var(--paper); }
}
@media print {
  @page { margin: 14mm; }
  :root { --paper: #fff; }
  html { font-size: 9pt; }
  body { max-width: none; padding: 0; }
  nav { display: none; }
  h2, h3, caption, thead { break-after: avoid; }
  tr, .tiles, .plots svg, .bars { break-inside: avoid; }
  .scroll { overflow: visible; }
  .bars { min-width: 0; }
  .layers { font-size: 7.5pt; }
  .layers th, .layers td { padding-right: 0.6rem; }
  a { color: inherit; text-decoration: none; }
  pre { white-space: pre-wrap; overflow-wrap: anywhere; }
  svg, .tiles, .warnings div, .bar, .swatched { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
`;
