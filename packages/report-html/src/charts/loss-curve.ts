import type { FineTuneReport } from '@tritforge/contracts';
import { html, type Markup, type Piece } from '../markup.js';
import { type Axis, coordinate, linearAxis, logAxis } from './axis.js';
import { curveLine, epochAxis, type Place } from './epoch-curve.js';
import { type Dimension, grid, HEIGHT, LOG_RATIO, PLOT, TICKS, WIDTH } from './plane.js';

type Point = FineTuneReport['curve'][number];

/** More points than pixels tell nothing. */
const MOST_POINTS = 500;
const X: Dimension = { title: 'epoch', format: String };
const Y: Dimension = { title: 'loss, lower is better', format: shortLoss };

/**
 * The losses of a training over its epochs. The start is a line across, as nothing above it was of use; the best epoch has a mark.
 * @param curve losses are finite, the first point is before any step
 * @param description what the plot shows, for those who cannot see it; no text of others
 */
export function lossCurve(curve: readonly Point[], bestEpoch: number, description: string): Markup {
  const shown = thinned(curve, bestEpoch);
  const xAxis = epochAxis(0, curve.at(-1)!.epoch);
  const yAxis = lossAxis(curve);
  const place = (epoch: number, loss: number) => ({ x: coordinate(xAxis.at(epoch)), y: coordinate(yAxis.at(loss)) });
  const heldOut = shown.map(({ epoch, heldOutLoss }) => place(epoch, heldOutLoss));
  const training = shown.flatMap(({ epoch, trainingLoss }) =>
    trainingLoss === null ? [] : [place(epoch, trainingLoss)],
  );
  return html`<svg class="plot" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${description}">
${grid(xAxis, yAxis, X, Y)}
${startLine(heldOut[0]!.y, heldOut.at(-1)!.y)}
${curveLine('l-training', training)}${curveLine('l-held-out', heldOut)}
${bestMark(
  curve.find(({ epoch }) => epoch === bestEpoch),
  place,
)}
</svg>`;
}

/** A loss with three significant digits. */
export function shortLoss(loss: number): string {
  return String(Number(loss.toPrecision(3)));
}

/** As many points as a drawing can show, the best one and the ends among them. */
function thinned(curve: readonly Point[], bestEpoch: number): readonly Point[] {
  const stride = Math.ceil(curve.length / MOST_POINTS);
  return curve.filter(({ epoch }, index) => index % stride === 0 || index === curve.length - 1 || epoch === bestEpoch);
}

function lossAxis(curve: readonly Point[]): Axis {
  const losses = curve.flatMap(({ heldOutLoss, trainingLoss }) =>
    trainingLoss === null ? [heldOutLoss] : [heldOutLoss, trainingLoss],
  );
  const [low, high] = [Math.min(...losses), Math.max(...losses)];
  const span = { from: PLOT.bottom, to: PLOT.top };
  if (low > 0 && high / low > LOG_RATIO) {
    const margin = (high / low) ** 0.07;
    return logAxis(low / margin, high * margin, span);
  }
  const margin = (high - low || Math.abs(high) || 1) * 0.1;
  return linearAxis(low - margin, high + margin, span, TICKS);
}

/** The word stands on the side of the line where the curve does not end. */
function startLine(y: number, endOfCurve: number): Markup {
  const { left, right } = PLOT;
  const baseline = endOfCurve > y ? y - 5 : Math.min(y + 13, PLOT.bottom - 4);
  return html`<path class="l-start" d="M${left} ${y}H${right}"/><text x="${right}" y="${baseline}" text-anchor="end">start</text>`;
}

/** The word stands below: the best epoch is where the curve is lowest. */
function bestMark(best: Point | undefined, place: (epoch: number, loss: number) => Place): Piece {
  if (best === undefined) return null;
  const { x, y } = place(best.epoch, best.heldOutLoss);
  const anchor = x < PLOT.left + 40 ? 'start' : x > PLOT.right - 40 ? 'end' : 'middle';
  return html`<path class="p-result" d="M${x} ${y - 7}l7 7l-7 7l-7 -7z"><title>Epoch ${best.epoch}: ${shortLoss(best.heldOutLoss)}</title></path>
<text class="name" x="${x}" y="${Math.min(y + 20, PLOT.bottom - 4)}" text-anchor="${anchor}">best</text>`;
}
