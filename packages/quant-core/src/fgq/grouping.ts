/**
 * Which weights share one scale.
 *
 *   group (oc, g, tap) = { W[oc, ic, tap] : g·N ≤ ic < min((g+1)·N, IC) }
 *
 * A group is N consecutive **input channels** at one output channel and one kernel position (Mellempudi et al., arXiv
 * 1705.01462, section 3). Where N does not divide IC the last group is short, which equals padding it with zeros.
 * Group codes are kept in the order [OC, G, taps].
 */

/**
 * The shape of a weight tensor as [OC, IC, taps], row-major. A convolution [OC, IC/groups, kH, kW] has
 * `inputChannels` = IC/groups and `taps` = kH·kW; a linear layer [OC, IC] has one tap (the caller transposes [IC, OC]).
 */
export interface WeightLayout {
  readonly outputChannels: number;
  /** Input channels seen by one output channel: per convolution group, not in all. */
  readonly inputChannels: number;
  /** Kernel positions. */
  readonly taps: number;
}

/** The groups of one output channel; all output channels have the same. Index g·taps + tap, as in the group codes. */
export interface ChannelGroups {
  readonly groupCount: number;
  /** Weights in one output channel. */
  readonly weightCount: number;
  /** Where the first weight of each group is, counted from the start of the output channel. */
  readonly firstWeight: Int32Array;
  /** Number of weights in each group: N, or fewer in the last group. */
  readonly lengths: Int32Array;
  /** Distance between neighbouring weights of a group. */
  readonly stride: number;
}

/** Number of weights in a tensor of this layout. */
export function weightCount(layout: WeightLayout): number {
  return layout.outputChannels * layout.inputChannels * layout.taps;
}

/** G: groups along the input channels, the short one included. */
export function groupsAlongInputs(layout: WeightLayout, groupSize: number): number {
  return Math.ceil(layout.inputChannels / groupSize);
}

/** Number of group codes of a tensor: OC·G·taps. */
export function groupCount(layout: WeightLayout, groupSize: number): number {
  return layout.outputChannels * groupsAlongInputs(layout, groupSize) * layout.taps;
}

/** Lists the groups of one output channel. */
export function groupsOfChannel(layout: WeightLayout, groupSize: number): ChannelGroups {
  const { inputChannels, taps } = layout;
  const alongInputs = groupsAlongInputs(layout, groupSize);
  const firstWeight = new Int32Array(alongInputs * taps);
  const lengths = new Int32Array(alongInputs * taps);
  for (let g = 0; g < alongInputs; g++) {
    for (let tap = 0; tap < taps; tap++) {
      firstWeight[g * taps + tap] = g * groupSize * taps + tap;
      lengths[g * taps + tap] = Math.min(groupSize, inputChannels - g * groupSize);
    }
  }
  return { groupCount: alongInputs * taps, weightCount: inputChannels * taps, firstWeight, lengths, stride: taps };
}

/**
 * Checks that a weight array has the layout it claims.
 * @throws RangeError when a dimension is not a positive integer or the element count differs
 */
export function checkLayout(elementCount: number, layout: WeightLayout): void {
  for (const name of ['outputChannels', 'inputChannels', 'taps'] as const) {
    if (!Number.isSafeInteger(layout[name]) || layout[name] < 1) {
      throw new RangeError(`layout.${name} must be a positive integer, got ${layout[name]}`);
    }
  }
  if (elementCount !== weightCount(layout)) {
    const { outputChannels, inputChannels, taps } = layout;
    throw new RangeError(
      `a layout of ${outputChannels}×${inputChannels}×${taps} has ${weightCount(layout)} weights, got ${elementCount}`,
    );
  }
}

/** @throws RangeError when the group size is not a positive integer */
export function checkGroupSize(groupSize: number): void {
  if (!Number.isSafeInteger(groupSize) || groupSize < 1) {
    throw new RangeError(`groupSize must be a positive integer, got ${groupSize}`);
  }
}
