import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

interface ShapeBase {
  /** Unique in its family; the name of a row. */
  readonly id: string;
  /** How often it occurs in its network; 1 for a matrix product of no particular network. */
  readonly count: number;
  readonly macs: number;
  /** False for layers that stay int8. */
  readonly ternary: boolean;
  /** Whether it is timed with cold caches too. */
  readonly cold: boolean;
}

/** [m, k] · [k, n]. */
export interface GemmShape extends ShapeBase {
  readonly kind: 'gemm';
  readonly m: number;
  readonly k: number;
  readonly n: number;
}

/** A square image of `size` and a square kernel, batch 1, the same padding on every side. */
export interface ConvolutionShape extends ShapeBase {
  readonly kind: 'convolution';
  readonly size: number;
  readonly outputSize: number;
  readonly inputChannels: number;
  readonly outputChannels: number;
  readonly kernel: number;
  readonly stride: number;
  readonly pad: number;
  readonly groups: number;
}

export type Shape = GemmShape | ConvolutionShape;

/** Shapes that are reported together. */
export interface Family {
  readonly title: string;
  readonly about: string;
  /** Whether the shapes with their counts make up a whole network. */
  readonly isNetwork: boolean;
  readonly shapes: readonly Shape[];
}

interface FileHead {
  readonly family: string;
  readonly about: string;
}

type ShapeFile =
  | (FileHead & { readonly kind: 'convolution'; readonly shapes: readonly ConvolutionEntry[] })
  | (FileHead & { readonly kind: 'convolution as gemm'; readonly shapes: readonly (Matrix & { readonly m: number })[] })
  | (FileHead & {
      readonly kind: 'gemm';
      /** Each number of rows is a family with all matrices. */
      readonly rows: readonly number[];
      readonly matrices: readonly Matrix[];
      /** Products of at most so many rows are timed with cold caches too. */
      readonly coldUpToRows: number;
    });

interface Matrix {
  readonly k: number;
  readonly n: number;
}

/** `int8`: not ternary, as a first layer. Padding is half of the kernel. */
interface ConvolutionEntry {
  readonly name: string;
  readonly count: number;
  readonly size: number;
  readonly ic: number;
  readonly oc: number;
  readonly kernel: number;
  readonly stride: number;
  readonly depthwise?: boolean;
  readonly int8?: boolean;
}

const FOLDER = new URL('../../kernels/shapes/', import.meta.url);

/** The families of every file under `shapes/` whose title, or those of their shapes whose name, matches `filter`. */
export function readFamilies(filter: RegExp): Family[] {
  const matches = (text: string) => filter.test(text);
  const files = readdirSync(fileURLToPath(FOLDER)).sort();
  return files
    .flatMap((file) => familiesOf(JSON.parse(readFileSync(new URL(file, FOLDER), 'utf8')) as ShapeFile))
    .map((family) =>
      matches(family.title)
        ? family
        : { ...family, isNetwork: false, shapes: family.shapes.filter(({ id }) => matches(id)) },
    )
    .filter(({ shapes }) => shapes.length > 0);
}

function familiesOf(file: ShapeFile): Family[] {
  const { family: title, about } = file;
  if (file.kind === 'convolution') return [{ title, about, isNetwork: true, shapes: file.shapes.map(convolution) }];
  if (file.kind === 'convolution as gemm') {
    return [{ title, about, isNetwork: false, shapes: file.shapes.map((entry) => gemm(entry, false)) }];
  }
  return file.rows.map((m) => ({
    title: `${title}, M = ${m}`,
    about,
    isNetwork: false,
    shapes: file.matrices.map((matrix) => gemm({ ...matrix, m }, m <= file.coldUpToRows)),
  }));
}

function gemm({ m, k, n }: Matrix & { readonly m: number }, cold: boolean): GemmShape {
  return { kind: 'gemm', id: `${m} × ${k} × ${n}`, count: 1, macs: m * k * n, ternary: true, cold, m, k, n };
}

function convolution(entry: ConvolutionEntry): ConvolutionShape {
  const { name, count, size, ic, oc, kernel, stride } = entry;
  const groups = entry.depthwise ? ic : 1;
  const outputSize = Math.ceil(size / stride);
  const strided = stride === 1 ? '' : ` /${stride}`;
  return {
    kind: 'convolution',
    id: `${name}: ${kernel}×${kernel}${strided}, ${ic} → ${oc}, ${size}²`,
    count,
    macs: outputSize ** 2 * kernel ** 2 * oc * (ic / groups),
    ternary: groups === 1 && !entry.int8,
    cold: false,
    size,
    outputSize,
    inputChannels: ic,
    outputChannels: oc,
    kernel,
    stride,
    pad: Math.floor(kernel / 2),
    groups,
  };
}
