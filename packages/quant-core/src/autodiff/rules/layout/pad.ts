/**
 * Padding. Negative pads take elements away first, as onnxruntime has it.
 *
 *   constant            what is left of ȳ without the pads, zeros where elements were taken away
 *   edge, reflect, wrap y[i] = x[source i], one axis after the other: x̄[j] = Σ ȳ[i] over source i = j. The sources are a few
 *                       runs that ascend, descend or stay; each is a slice of ȳ, reversed or summed, at its place in x.
 *
 * The gradient of the constant itself is Σ ȳ over the pads.
 */
import { stringAttribute } from '../../../ir/index.js';
import { type GradientRule, type RuleInput, UnsupportedGradient } from '../../rule.js';
import type { Shape, ShapedBuilder } from '../../shaped-builder.js';
import { axisFromFront, staticInts } from '../static-ints.js';

interface Pads {
  readonly begins: readonly number[];
  readonly ends: readonly number[];
}

/** Where an element before or behind an axis comes from: index and result relative to its start. */
const FOLDS: Readonly<Record<string, (index: number, size: number) => number>> = {
  edge: (index, size) => Math.min(Math.max(index, 0), size - 1),
  reflect: (index, size) => {
    const period = Math.max(1, 2 * (size - 1));
    const at = modulo(index, period);
    return at < size ? at : period - at;
  },
  wrap: (index, size) => modulo(index, size),
};

export const pad: GradientRule = async (input) => {
  const { b, dy, node, wants, shapeOf } = input;
  const pads = await padsOf(input);
  const mode = stringAttribute(node, 'mode', 'constant');
  if (mode === 'constant') {
    const left = without(b, dy, pads);
    const rest = () => b.binary('Sub', total(b, dy), total(b, left));
    return [left, null, wants(2) ? b.reshape(rest(), shapeOf(2)) : null];
  }
  const fold = FOLDS[mode];
  if (fold === undefined) throw new UnsupportedGradient(`its mode is ${mode}`);
  return [
    shapeOf(0).reduce((gradient, size, axis) => {
      const sources = sourcesOf(size, pads.begins[axis]!, pads.ends[axis]!, fold);
      return collect(b, gradient, axis, sources, size);
    }, dy),
  ];
};

/** Pads of every axis. */
async function padsOf(input: RuleInput): Promise<Pads> {
  const rank = input.shapeOf(0).length;
  const pads = (await staticInts(input, 'pads', 1)) ?? [];
  const axes = (await staticInts(input, 'axes', 3)) ?? Array.from({ length: rank }, (_, axis) => axis);
  const begins = new Array<number>(rank).fill(0);
  const ends = new Array<number>(rank).fill(0);
  for (const [i, axis] of axes.entries()) {
    begins[axisFromFront(axis, rank)] = pads[i]!;
    ends[axisFromFront(axis, rank)] = pads[i + axes.length]!;
  }
  return { begins, ends };
}

/** Takes pads away; negative ones become zeros. */
function without(b: ShapedBuilder, y: string, { begins, ends }: Pads): string {
  if ([...begins, ...ends].some((count) => count < 0)) {
    const negated = (counts: readonly number[]) => counts.map((count) => -count);
    return b.pad(y, negated(begins), negated(ends));
  }
  const shape = b.shapeOf(y);
  const axes = shape.flatMap((_, axis) => (begins[axis] === 0 && ends[axis] === 0 ? [] : [axis]));
  if (axes.length === 0) return y;
  return b.slice(y, {
    axes,
    starts: axes.map((axis) => begins[axis]!),
    ends: axes.map((axis) => shape[axis]! - ends[axis]!),
  });
}

function total(b: ShapedBuilder, x: string): string {
  return b.sumTo(x, []);
}

/** For each element of the padded axis the element of the axis that it is a copy of. */
function sourcesOf(size: number, begin: number, end: number, fold: (index: number, size: number) => number): number[] {
  const first = Math.max(0, -begin);
  const left = size - first - Math.max(0, -end);
  const before = Math.max(0, begin);
  return Array.from({ length: before + left + Math.max(0, end) }, (_, i) => first + fold(i - before, left));
}

/** Copies `at` … `at + count − 1` of sources source, source + step, … */
interface Run {
  readonly at: number;
  readonly source: number;
  readonly step: number;
  count: number;
}

function runsOf(sources: readonly number[]): Run[] {
  const runs: Run[] = [];
  for (let at = 0; at < sources.length; ) {
    const source = sources[at]!;
    const step = at + 1 < sources.length ? sources[at + 1]! - source : 1;
    const run: Run = { at, source, step: Math.abs(step) > 1 ? 1 : step, count: 1 };
    while (sources[at + run.count] === source + run.count * run.step) run.count++;
    runs.push(run);
    at += run.count;
  }
  return runs;
}

/** x̄[j] = Σ ȳ[i] over sources[i] = j, along one axis. */
function collect(b: ShapedBuilder, y: string, axis: number, sources: readonly number[], size: number): string {
  return runsOf(sources)
    .map((run) => placed(b, y, axis, run, size))
    .reduce((sum, part) => b.binary('Add', sum, part));
}

function placed(b: ShapedBuilder, y: string, axis: number, { at, source, step, count }: Run, size: number): string {
  const whole = b.shapeOf(y)[axis]!;
  const [starts, ends] = step < 0 ? [[at + count - 1], [at - 1 - whole]] : [[at], [at + count]];
  const isWhole = step >= 0 && count === whole;
  const part = isWhole ? y : b.slice(y, { axes: [axis], starts, ends, ...(step < 0 && { steps: [-1] }) });
  const column = step === 0 && count > 1 ? b.sum(part, [axis], true) : part;
  const none: Shape = b.shapeOf(y).map(() => 0);
  const begin = step < 0 ? source - count + 1 : source;
  const behind = size - begin - b.shapeOf(column)[axis]!;
  return b.pad(column, none.with(axis, begin), none.with(axis, behind));
}

function modulo(a: number, n: number): number {
  return ((a % n) + n) % n;
}
