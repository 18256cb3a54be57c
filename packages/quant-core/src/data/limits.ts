/** What a dataset file may expand to. Exceeding any of them is DATASET_TOO_LARGE. */
export interface DatasetLimits {
  /** Bytes of all members together once expanded. */
  readonly maxExpandedBytes: number;
  /** Expanded bytes per byte of the file; counts only above `ratioFreeBytes`. */
  readonly maxExpansionRatio: number;
  /** Expanded bytes below which any ratio is allowed: small arrays of equal values compress very well. */
  readonly ratioFreeBytes: number;
  /** Members of an archive. */
  readonly maxMembers: number;
  /** Bytes of one encoded image. */
  readonly maxImageBytes: number;
  /** Pixels of one decoded image. */
  readonly maxImagePixels: number;
  /** Bytes of the csv of labels. */
  readonly maxCsvBytes: number;
  /** Bytes of one sample, all arrays together, decoded. */
  readonly maxSampleBytes: number;
}

const MIB = 2 ** 20;

/** Generous for calibration and evaluation sets, small beside what a bomb expands to. */
export const DEFAULT_DATASET_LIMITS: DatasetLimits = {
  maxExpandedBytes: 16 * 1024 * MIB,
  maxExpansionRatio: 200,
  ratioFreeBytes: 64 * MIB,
  maxMembers: 200_000,
  maxImageBytes: 64 * MIB,
  maxImagePixels: 64 * 2 ** 20,
  maxCsvBytes: 64 * MIB,
  maxSampleBytes: 256 * MIB,
};
