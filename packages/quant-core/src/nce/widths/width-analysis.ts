/** What the rules of operators find out about the widths of a network, node after node. */
import type { Node, Tensor } from '../../ir/index.js';
import { type ChannelCount, type ChannelLayout, haveSameForm, originalCount, type Segment } from './channel-layout.js';
import { type Reason, WidthTable } from './width-table.js';

/** By axis: its channels, or null where its length stays. */
export type TensorLayout = readonly (ChannelAxis | null)[];

export interface ChannelAxis {
  readonly segments: readonly Segment[];
  /** Whether these channels come to an end here, as in the sums over input channels of a convolution. */
  readonly isSummed: boolean;
}

/** An element of a constant that follows the widths, such as a size to split to. */
export interface CountedElement {
  /** Initializer of integers. */
  readonly constant: string;
  readonly index: number;
  readonly count: ChannelCount;
}

/** A convolution with a group for each channel. */
export interface DepthwiseNode {
  readonly node: Node;
  readonly segments: readonly Segment[];
}

/** A shortcut that adds empty channels, as many as the sum behind it needs: it may become a projection. */
export interface PaddedShortcut {
  readonly node: Node;
  /** Empty channels before the first that comes. */
  readonly begin: number;
  readonly from: readonly Segment[];
  readonly to: readonly Segment[];
}

/** What is known of a network before any width is. */
export interface Constants {
  /** Of a value; null where one cannot be told. */
  readonly sizesOf: (value: string) => readonly (number | null)[] | null;
  /** Initializers. */
  readonly constantOf: (value: string) => Tensor | undefined;
  /** Of small constants of integers. */
  readonly intsOf: (value: string) => readonly number[] | undefined;
}

export class WidthAnalysis {
  readonly layouts = new Map<string, ChannelLayout>();
  readonly tensors = new Map<string, TensorLayout>();
  readonly counts: CountedElement[] = [];
  readonly depthwise: DepthwiseNode[] = [];
  readonly shortcuts: PaddedShortcut[] = [];

  readonly widths = new WidthTable();
  readonly sizesOf: Constants['sizesOf'];
  readonly constantOf: Constants['constantOf'];
  readonly intsOf: Constants['intsOf'];

  constructor({ sizesOf, constantOf, intsOf }: Constants) {
    this.sizesOf = sizesOf;
    this.constantOf = constantOf;
    this.intsOf = intsOf;
  }

  /** Null where no length of the value may change. */
  layoutOf(value: string): ChannelLayout | null {
    return this.layouts.get(value) ?? null;
  }

  /** Leaves out outputs that nobody names. */
  give(output: string | undefined, layout: ChannelLayout | null): void {
    if (output !== undefined && output !== '' && layout !== null) this.layouts.set(output, layout);
  }

  /** Channels that a layer makes. */
  fresh(node: Node, channels: number): Segment[] {
    return [{ width: this.widths.create(channels, node.name), repeat: 1 }];
  }

  /** Channels that stay as they are, beside others that may change. */
  fixed(node: Node, channels: number, why: string): Segment[] {
    const width = this.widths.create(channels, null);
    this.widths.pin(width, { node: node.name, why });
    return [{ width, repeat: 1 }];
  }

  pin(segments: readonly Segment[], reason: Reason): void {
    for (const { width } of segments) this.widths.pin(width, reason);
  }

  /** Makes both equally long whatever is chosen: segment by segment, or neither changes. */
  tie(a: readonly Segment[], b: readonly Segment[], { node, why }: Reason): void {
    if (haveSameForm(a, b, this.widths)) {
      a.forEach(({ width }, i) => {
        this.widths.tie(width, b[i]!.width, { node, why });
      });
      return;
    }
    this.pin([...a, ...b], { node, why: `${why}, of which the parts are not alike` });
  }

  /**
   * The axes of a constant that nodes compute with; what several nodes say of one is tied.
   * @param axes null: stays as long as it is
   * @param summed the axis that a layer sums over
   */
  describe(node: Node, name: string, axes: readonly (readonly Segment[] | null)[], summed?: number): void {
    const known = this.tensors.get(name);
    if (known === undefined) {
      const described = axes.map((segments, axis) => segments && { segments, isSummed: axis === summed });
      this.tensors.set(name, described);
      return;
    }
    const reason = { node: node.name, why: `shares ${name} with another node` };
    axes.forEach((segments, axis) => {
      const other = known[axis]?.segments ?? null;
      if (segments !== null && other !== null) this.tie(segments, other, reason);
      else this.pin(segments ?? other ?? [], reason);
    });
  }

  /** An element of a constant counts channels. One that is -1 or 0 says so without a number. */
  count(node: Node, constant: string, index: number, segments: readonly Segment[], divisor = 1): void {
    const element = this.intsOf(constant)?.[index];
    if (element === undefined || element <= 0) return;
    const known = this.counts.find((one) => one.constant === constant && one.index === index);
    if (known !== undefined)
      this.tie(segments, known.count.segments, { node: node.name, why: `shares ${constant} with another node` });
    else this.counts.push({ constant, index, count: { segments, divisor } });
  }

  lengthOf(segments: readonly Segment[]): number {
    return originalCount(segments, this.widths);
  }
}
