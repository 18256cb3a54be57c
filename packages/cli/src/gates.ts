import { type GateReport, type Gates, TritforgeError } from '@tritforge/contracts';

/** The flags that say what the result must keep to. */
export interface GateFlags {
  readonly gateMaxAccuracyDrop?: number;
  readonly gateMaxSize?: number;
  readonly gateMinSpeedup?: number;
}

/** The gates that the flags describe. */
export function gatesOf({ gateMaxAccuracyDrop, gateMaxSize, gateMinSpeedup }: GateFlags): Gates {
  return {
    ...(gateMaxAccuracyDrop !== undefined && { maxAccuracyDrop: gateMaxAccuracyDrop }),
    ...(gateMaxSize !== undefined && { maxSizeBytes: gateMaxSize }),
    ...(gateMinSpeedup !== undefined && { minSpeedup: gateMinSpeedup }),
  };
}

/** @throws TritforgeError GATE_FAILED when one of them did not pass */
export function requireGates(gates: readonly GateReport[]): void {
  const failed = gates.filter(({ passed }) => !passed);
  if (failed.length === 0) return;
  const list = failed.map(({ name, value, limit }) => `${name} is ${value ?? 'unknown'}, the limit is ${limit}`);
  throw new TritforgeError('GATE_FAILED', `${list.join('; ')}.`, {
    remediation: 'Choose a smaller group size, exclude the layers with the lowest SQNR, or relax the gate.',
  });
}
