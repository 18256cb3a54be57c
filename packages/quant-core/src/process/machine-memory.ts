import { totalmem } from 'node:os';

/** Bytes of memory that the machine has, or the container if that is less. */
export function machineMemoryBytes(): number {
  const constrainedBytes = process.constrainedMemory();
  return constrainedBytes > 0 ? Math.min(totalmem(), constrainedBytes) : totalmem();
}
