/** Which widths make up the channel axis of a value. */
import type { WidthId, WidthTable } from './width-table.js';

/** Channels of one width, one after the other. */
export interface Segment {
  readonly width: WidthId;
  /** Positions on the axis that each channel takes: more than 1 once an image has been flattened. */
  readonly repeat: number;
}

/** The only axis of a value whose length may change. */
export interface ChannelLayout {
  readonly axis: number;
  /** In their order on the axis: several behind a concatenation. */
  readonly segments: readonly Segment[];
  /** Within a channel shuffle the axis is two, groups and channels of a group, in this order unless they have changed places. */
  readonly shuffle: { readonly groups: number; readonly isTransposed: boolean } | null;
}

/** A number that follows the widths: the sum over segments, over `divisor`. */
export interface ChannelCount {
  readonly segments: readonly Segment[];
  readonly divisor: number;
}

/** @param widthOf the number of channels of each */
export function channelCount(segments: readonly Segment[], widthOf: (id: WidthId) => number): number {
  return segments.reduce((sum, { width, repeat }) => sum + widthOf(width) * repeat, 0);
}

/** In the network as it is. */
export function originalCount(segments: readonly Segment[], widths: WidthTable): number {
  return channelCount(segments, (id) => widths.of(id).channels);
}

/** Whether two axes can be tied segment by segment. */
export function haveSameForm(a: readonly Segment[], b: readonly Segment[], widths: WidthTable): boolean {
  return (
    a.length === b.length &&
    a.every(
      ({ width, repeat }, i) =>
        repeat === b[i]!.repeat && widths.of(width).channels === widths.of(b[i]!.width).channels,
    )
  );
}

/**
 * Cuts an axis into pieces.
 * @param sizes in the network as it is; their sum is the length of the axis
 * @returns null where a cut would go through a segment
 */
export function cutSegments(
  segments: readonly Segment[],
  sizes: readonly number[],
  widths: WidthTable,
): Segment[][] | null {
  const pieces: Segment[][] = [];
  let at = 0;
  for (const size of sizes) {
    const piece: Segment[] = [];
    for (let left = size; left > 0; left -= originalCount([segments[at++]!], widths)) {
      const next = segments[at];
      if (next === undefined || originalCount([next], widths) > left) return null;
      piece.push(next);
    }
    pieces.push(piece);
  }
  return at === segments.length ? pieces : null;
}
