/**
 * Packed integer convolution and matrix product: weights are packed once for a kernel, then run. Native only; where the addon was not
 * built, `packedKernels` throws and says why.
 *
 * The formulas are those of the C++ headers:
 *
 *   acc[pixel, oc] = Σ (x − zeroPoint) · w[oc] + bias[oc]
 *   s32: acc        f32: float32(acc) · multiplier[oc]
 *   u8:  min(saturate(roundHalfEven(float32(acc) · multiplier[oc]) + zeroPoint), maxCode), as ONNX Runtime's QLinearConv rounds
 */
import { type Addon, loadAddon } from './addon.js';

/** An instruction set that kernels are written for. `scalar` is the reference, never chosen for speed. */
export type Isa = 'scalar' | 'avx2' | 'avxvnni' | 'avx512' | 'neon' | 'neon-i8mm';

/** How packed weights lie in memory; see the C++ header of each. */
export type Layout = 'dot8' | 'dot8t' | 'table27' | 'table64' | 'gemv2' | 'depthwise';

export interface CpuFeatures {
  /** What runs unless a call names another. */
  readonly active: Isa;
  readonly built: readonly Isa[];
  /** Built, and this processor has the instructions. */
  readonly runnable: readonly Isa[];
  /** What is wrong with the environment variable TRITFORGE_KERNELS, which was ignored then. */
  readonly problem: string | null;
}

interface WeightShape {
  /** OC, of all groups. */
  readonly outputChannels: number;
  /** Input channels of one group of the convolution, or K of a matrix product. */
  readonly depth: number;
  /** [kH, kW]; [1, 1] when left out. */
  readonly kernel?: readonly [number, number];
  /** Of the convolution; 1 when left out. */
  readonly groups?: number;
}

/** Integer weights in the order [OC, depth, kH, kW]. */
export type IntegerWeights = WeightShape &
  (
    | {
        readonly kind: 'ternary';
        /** Neighbouring input channels that share a group code. */
        readonly groupSize: number;
        /** Four to a byte, low bits first, −1 = 0b11, 0 = 0b00, +1 = 0b01. */
        readonly codes: Uint8Array;
        /** 0…127, [OC, ⌈depth / groupSize⌉, kH, kW]. */
        readonly groupCodes: Uint8Array;
      }
    | { readonly kind: 'int8'; readonly values: Int8Array }
    | {
        readonly kind: 'uniform2';
        /** Four to a byte, low bits first, each an index of `levels`. */
        readonly codes: Uint8Array;
        /** The four values, each −3…3. */
        readonly levels: Int8Array;
      }
  );

export interface PackOptions {
  /** Chosen for the instruction set and the shape when left out. */
  readonly layout?: Layout;
  readonly isa?: Isa;
  /** Output pixels, or rows of a matrix product, that a call will have; default 256. */
  readonly outputPixels?: number;
  /** Largest activation code; ≤ 15 allows table lookup. Default 255. */
  readonly maxCode?: number;
}

/** Packed weights; opaque to JavaScript. */
export interface PackedWeights {
  readonly layout: Layout;
  readonly kind: IntegerWeights['kind'];
  readonly outputChannels: number;
  readonly depth: number;
  readonly kernelHeight: number;
  readonly kernelWidth: number;
  readonly groups: number;
  readonly groupSize: number;
  readonly byteLength: number;
}

export interface Convolution {
  /** Activations, [batch, height, width, groups · depth]. */
  readonly input: Uint8Array;
  readonly batch?: number;
  readonly height: number;
  readonly width: number;
  /** [height, width] each; 1 when left out. */
  readonly strides?: readonly [number, number];
  readonly dilations?: readonly [number, number];
  /** [top, left, bottom, right]; 0 when left out. Outside of the image is the zero point. */
  readonly pads?: readonly [number, number, number, number];
  readonly zeroPoint: number;
  /** No code of the input is larger, or the call throws; default 255. */
  readonly maxCode?: number;
  /** Int32 [OC], in units of the sums. */
  readonly bias?: Int32Array;
  readonly output:
    | { readonly kind: 's32' }
    | { readonly kind: 'f32'; readonly multiplier: Float32Array }
    | {
        readonly kind: 'u8';
        readonly multiplier: Float32Array;
        readonly zeroPoint: number;
        readonly maxCode?: number;
      };
}

export interface RunOptions {
  readonly isa?: Isa;
  /** Default 1. */
  readonly threads?: number;
}

export interface KernelResult<Values> {
  /** [batch, OH, OW, OC]. */
  readonly values: Values;
  /** Which kernel ran, such as `u8_dot8__avx512`. */
  readonly kernel: string;
}

type ValuesOf<C extends Convolution> = C['output']['kind'] extends 'u8'
  ? Uint8Array
  : C['output']['kind'] extends 's32'
    ? Int32Array
    : Float32Array;

/** Rows of float32 that are quantized on the way in; see gemv.h. */
export interface DynamicMatmul {
  readonly rows: number;
  /** [rows, depth]. */
  readonly x: Float32Array;
  /** [OC]. */
  readonly channelScales: Float32Array;
  readonly bias?: Float32Array;
}

/**
 * Every function throws a TypeError or RangeError that names the argument, before it returns a promise; promises reject with a
 * RangeError for what only shows while computing, such as the packed code 0b10. Arguments are copied before a call returns.
 */
export interface PackedKernels {
  cpuFeatures(): CpuFeatures;
  packWeights(weights: IntegerWeights, options?: PackOptions): Promise<PackedWeights>;
  /** Bytes that {@link PackedKernels.openPackedWeights} takes, on any processor. */
  packedBytes(weights: PackedWeights): Uint8Array;
  /** Checks every field, the length, a checksum and every code. */
  openPackedWeights(bytes: Uint8Array): PackedWeights;
  convolve<C extends Convolution>(
    weights: PackedWeights,
    convolution: C,
    options?: RunOptions,
  ): Promise<KernelResult<ValuesOf<C>>>;
  /** y[m, n] = Σ x·w · channelScales[n] + bias[n], x quantized to int8 row by row; weights packed as `gemv2`. */
  dynamicMatmul(
    weights: PackedWeights,
    matmul: DynamicMatmul,
    options?: RunOptions,
  ): Promise<KernelResult<Float32Array>>;
}

interface PackedAddon extends Addon {
  cpuFeatures(): CpuFeatures;
  packWeights(...args: unknown[]): Promise<PackedWeights>;
  packedBytes(weights: PackedWeights): Uint8Array;
  openPackedWeights(bytes: Uint8Array): PackedWeights;
  convolve(...args: unknown[]): Promise<KernelResult<never>>;
  dynamicMatmul(...args: unknown[]): Promise<KernelResult<Float32Array>>;
}

const DEFAULT_PIXELS = 256;
const MAX_CODE = 255;

/**
 * The packed kernels of this process.
 * @throws NativeKernelsUnavailable saying why there are none and what would bring them
 * @example
 *   const { packWeights, convolve } = packedKernels();
 *   const weights = await packWeights({ kind: 'ternary', outputChannels: 64, depth: 64, groupSize: 64, codes, groupCodes });
 *   const { values } = await convolve(weights, { input, height: 128, width: 1, zeroPoint: 0, output: { kind: 's32' } });
 */
export function packedKernels(): PackedKernels {
  const addon = loadAddon() as PackedAddon;
  return {
    cpuFeatures: () => addon.cpuFeatures(),
    packWeights: (weights, options = {}) => addon.packWeights(...packArguments(weights, options)),
    packedBytes: (weights) => addon.packedBytes(weights),
    openPackedWeights: (bytes) => addon.openPackedWeights(bytes),
    convolve: (weights, convolution, options = {}) =>
      addon.convolve(weights, ...convolveArguments(convolution, options)),
    dynamicMatmul: (weights, { rows, x, channelScales, bias }, { isa, threads } = {}) =>
      addon.dynamicMatmul(weights, isa ?? null, threads ?? 1, rows, x, channelScales, bias ?? null),
  };
}

function packArguments(weights: IntegerWeights, options: PackOptions): unknown[] {
  const [kernelHeight, kernelWidth] = weights.kernel ?? [1, 1];
  return [
    options.layout ?? null,
    options.isa ?? null,
    options.outputPixels ?? DEFAULT_PIXELS,
    options.maxCode ?? MAX_CODE,
    weights.kind,
    weights.outputChannels,
    weights.depth,
    kernelHeight,
    kernelWidth,
    weights.groups ?? 1,
    weights.kind === 'ternary' ? weights.groupSize : 0,
    weights.kind === 'int8' ? null : weights.codes,
    weights.kind === 'int8' ? weights.values : null,
    weights.kind === 'ternary' ? weights.groupCodes : null,
    weights.kind === 'uniform2' ? weights.levels : null,
  ];
}

function convolveArguments(convolution: Convolution, { isa, threads }: RunOptions): unknown[] {
  const { output } = convolution;
  return [
    isa ?? null,
    threads ?? 1,
    convolution.batch ?? 1,
    convolution.height,
    convolution.width,
    ...(convolution.strides ?? [1, 1]),
    ...(convolution.dilations ?? [1, 1]),
    ...(convolution.pads ?? [0, 0, 0, 0]),
    convolution.input,
    convolution.zeroPoint,
    convolution.maxCode ?? MAX_CODE,
    output.kind,
    convolution.bias ?? null,
    output.kind === 's32' ? null : output.multiplier,
    output.kind === 'u8' ? output.zeroPoint : 0,
    output.kind === 'u8' ? (output.maxCode ?? MAX_CODE) : MAX_CODE,
  ];
}
