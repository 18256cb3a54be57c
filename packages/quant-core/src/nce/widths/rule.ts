import { type Node, valuesUsedBy } from '../../ir/index.js';
import type { ChannelLayout, Segment } from './channel-layout.js';
import type { WidthAnalysis } from './width-analysis.js';

/**
 * What an operator does with the channels of its inputs: gives layouts to its outputs, ties widths, describes its constants.
 * @returns why it cannot be followed; null where it was
 */
export type WidthRule = (node: Node, analysis: WidthAnalysis) => string | null;

/** Every width that goes into the node stays, and so does all that comes out. */
export function pinInputs(node: Node, analysis: WidthAnalysis, why: string): void {
  for (const value of valuesUsedBy(node)) {
    const layout = analysis.layoutOf(value);
    if (layout !== null) analysis.pin(layout.segments, { node: node.name, why });
  }
}

/** Plain channels on an axis. */
export function channelsOn(axis: number, segments: readonly Segment[]): ChannelLayout {
  return { axis, segments, shuffle: null };
}
