/**
 * Measured rows, one JSON object a line. A line is appended when its row is finished, so that what an interrupted run has
 * measured stays, and a line that was cut off counts as not measured.
 */
import { appendFile, readFile } from 'node:fs/promises';
import type { AccuracyReport, BitsPerWeight, FineTuneReport, NceReport, Recipe } from '@tritforge/contracts';
import { type Variant, variantName } from './variants.js';

/** What a row was measured on: the row stands as long as none of this changes. */
export interface RowIdentity {
  readonly model: string;
  readonly recipe: Recipe;
  /** Digest of the code that quantizes and measures. */
  readonly code: string;
  /** Digest of model, datasets and preprocessing. */
  readonly data: string;
}

/** Accuracy on one set. */
export interface SetAccuracy extends Omit<AccuracyReport, 'int8'> {
  /** Name of the dataset file. */
  readonly dataset: string;
}

/** What the layers of a network became, in layers. */
export interface LayerCounts {
  readonly ternary: number;
  readonly secondPlanes: number;
  readonly int4: number;
  readonly int8: number;
  readonly fourBitInputs: number;
}

/** What one run measured. */
export interface Measurement {
  readonly accuracies: readonly SetAccuracy[];
  readonly bitsPerWeight: BitsPerWeight;
  readonly sizeBytes: number;
  readonly layers: LayerCounts;
  /** Calibration, search and quantization. */
  readonly quantizeSeconds: number;
  /** The whole job, verification and measurement included. */
  readonly jobSeconds: number;
  readonly peakRssBytes: number;
  /** Where the recipe asked for it. */
  readonly fineTune?: FineTuneReport;
  readonly nce?: NceReport;
}

/** A finished row. */
export interface AccuracyRow extends RowIdentity, Measurement, Pick<Variant, 'column' | 'groupSize'> {
  readonly commit: string;
  readonly cpu: string;
}

/** Reads the finished rows; none where the file does not exist. */
export async function readRows<Row = AccuracyRow>(file: string): Promise<Row[]> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  // What comes behind the last end of line was cut off.
  return text
    .split('\n')
    .slice(0, -1)
    .flatMap((line) => parsed<Row>(line));
}

/** Appends a row on a line of its own, also behind a line that was cut off. */
export async function appendRow(file: string, row: unknown): Promise<void> {
  const before = await readFile(file, 'utf8').catch(() => '');
  const isCutOff = before !== '' && !before.endsWith('\n');
  await appendFile(file, `${isCutOff ? '\n' : ''}${JSON.stringify(row)}\n`);
}

/** Whether a row was measured on exactly this. */
export function isSame(row: RowIdentity, wanted: RowIdentity): boolean {
  return identity(row) === identity(wanted);
}

/** The newest row of each variant of each model, in the order of their first appearance. */
export function newestRows(rows: readonly AccuracyRow[]): AccuracyRow[] {
  return [...new Map(rows.map((row) => [`${row.model}: ${variantName(row)}`, row])).values()];
}

function identity({ model, recipe, code, data }: RowIdentity): string {
  return JSON.stringify([model, recipe, code, data]);
}

function parsed<Row>(line: string): Row[] {
  try {
    return [JSON.parse(line) as Row];
  } catch {
    return [];
  }
}
