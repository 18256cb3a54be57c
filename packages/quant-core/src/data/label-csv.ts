import { TritforgeError } from '@tritforge/contracts';
import { parse } from 'csv-parse/sync';

/** A row of the csv: an image and its class. */
export interface LabelRow {
  readonly file: string;
  readonly label: bigint;
  /** Line in the csv, from 1. */
  readonly line: number;
}

interface Parsed {
  readonly record: Readonly<Record<string, string>>;
  readonly info: { readonly lines: number };
}

/**
 * Reads the labels of an image archive: UTF-8, comma-separated, a header with the columns `file` (path of the image in
 * the archive) and `label` (class number from 0). Other columns are skipped.
 * @param name of the csv, for messages
 * @throws TritforgeError DATASET_LABELS_INVALID naming the row
 */
export function parseLabelCsv(bytes: Uint8Array, name: string): LabelRow[] {
  const rows: LabelRow[] = [];
  const seen = new Set<string>();
  for (const { record, info } of parseRows(bytes, name)) {
    const { file, label } = record;
    if (file === undefined || label === undefined) {
      throw csvError(name, 1, `its header names ${Object.keys(record).join(', ') || 'nothing'}`);
    }
    if (!/^\d{1,15}$/.test(label))
      throw csvError(name, info.lines, `label ${JSON.stringify(label)} is no class number`);
    const plain = file.replace(/^(\.\/)+/, '');
    if (seen.has(plain)) throw csvError(name, info.lines, `file ${JSON.stringify(file)} comes twice`);
    seen.add(plain);
    rows.push({ file: plain, label: BigInt(label), line: info.lines });
  }
  if (rows.length === 0) throw csvError(name, 1, 'it has no rows');
  return rows;
}

function parseRows(bytes: Uint8Array, name: string): Parsed[] {
  try {
    const options = { columns: true, bom: true, trim: true, info: true, skip_empty_lines: true };
    return parse(Buffer.from(bytes), options) as unknown as Parsed[];
  } catch (error) {
    const line = (error as { lines?: number }).lines ?? 1;
    throw csvError(name, line, (error as Error).message);
  }
}

/** An error about a line of the csv. */
export function csvError(name: string, line: number, why: string): TritforgeError {
  return new TritforgeError('DATASET_LABELS_INVALID', `${name}, line ${line}: ${why}`, {
    field: `${name}:${line}`,
    remediation: 'The csv has the header `file,label`, then one row for each image with its class number from 0.',
  });
}
