/** A label and where its baseline starts, ends or has its middle. */
export interface PlacedLabel {
  readonly text: string;
  readonly x: number;
  readonly y: number;
  readonly anchor: 'start' | 'end' | 'middle';
}

interface Labelled {
  readonly label: string;
  readonly cx: number;
  readonly cy: number;
}

/** A rectangle of a drawing. */
export interface Box {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

/** Width of a character at the size of labels; a little too much is safe. */
const CHARACTER_WIDTH = 6.4;
const LINE_HEIGHT = 13;
const GAP = 10;
const MARK_RADIUS = 6;
const LONGEST = 28;

/**
 * Puts labels beside their points where they cover neither a mark nor a label that was placed before them, and leaves out those
 * for which there is no such place: marks have tooltips and the table beside the plot has every name.
 * @param points the most important first
 * @param others what else labels must not cover
 */
export function placeLabels(points: readonly Labelled[], bounds: Box, others: readonly Box[] = []): PlacedLabel[] {
  const marks = points.map(({ cx, cy }) => ({
    left: cx - MARK_RADIUS,
    right: cx + MARK_RADIUS,
    top: cy - MARK_RADIUS,
    bottom: cy + MARK_RADIUS,
  }));
  const taken: Box[] = [...marks, ...others];
  const placed: PlacedLabel[] = [];
  for (const { label, cx, cy } of points) {
    const text = label.length > LONGEST ? `${label.slice(0, LONGEST - 1)}…` : label;
    const candidates: PlacedLabel[] = [
      { text, x: cx + GAP, y: cy + 4, anchor: 'start' },
      { text, x: cx - GAP, y: cy + 4, anchor: 'end' },
      { text, x: cx, y: cy - GAP, anchor: 'middle' },
      { text, x: cx, y: cy + GAP + LINE_HEIGHT - 3, anchor: 'middle' },
    ];
    const free = candidates.find((candidate) => {
      const box = boxOf(candidate);
      return isWithin(box, bounds) && !taken.some((other) => overlap(box, other));
    });
    if (free === undefined) continue;
    placed.push(free);
    taken.push(widened(boxOf(free)));
  }
  return placed;
}

function boxOf({ text, x, y, anchor }: PlacedLabel): Box {
  const width = text.length * CHARACTER_WIDTH;
  const left = anchor === 'start' ? x : anchor === 'end' ? x - width : x - width / 2;
  return { left, right: left + width, top: y - LINE_HEIGHT + 3, bottom: y + 3 };
}

/** With some air at its sides, as two labels on a line would read as one. */
function widened({ left, right, ...box }: Box): Box {
  return { ...box, left: left - GAP / 2, right: right + GAP / 2 };
}

function isWithin(box: Box, bounds: Box): boolean {
  return box.left >= bounds.left && box.right <= bounds.right && box.top >= bounds.top && box.bottom <= bounds.bottom;
}

function overlap(a: Box, b: Box): boolean {
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}
