import type { GateReport, Gates } from '@tritforge/contracts';

/** What the gates look at; null where it was not measured. */
export interface Measurements {
  /** How much worse than the original, in the unit of the metric. */
  readonly accuracyDrop: number | null;
  readonly sizeBytes: number | null;
  /** Latency of the original divided by that of the artifact. */
  readonly speedup: number | null;
}

/**
 * Holds each gate that was asked for against what was measured, in a fixed order. What was not measured does not pass.
 */
export function checkGates(gates: Gates, measured: Measurements): GateReport[] {
  const reports: GateReport[] = [];
  const check = (
    name: string,
    limit: number | undefined,
    value: number | null,
    holds: (value: number, limit: number) => boolean,
  ) => {
    if (limit === undefined) return;
    const finite = value !== null && Number.isFinite(value) ? value : null;
    reports.push({ name, limit, value: finite, passed: finite !== null && holds(finite, limit) });
  };
  check('maxAccuracyDrop', gates.maxAccuracyDrop, measured.accuracyDrop, (drop, limit) => drop <= limit);
  check('maxSizeBytes', gates.maxSizeBytes, measured.sizeBytes, (sizeBytes, limit) => sizeBytes <= limit);
  check('minSpeedup', gates.minSpeedup, measured.speedup, (speedup, limit) => speedup >= limit);
  return reports;
}
