/** Memory of processes (Linux). */
import { readFileSync } from 'node:fs';

const BYTES_PER_KIB = 1024;

/** Memory of a process, in bytes. */
export interface Memory {
  /** Resident: pages of mapped files included, which the kernel may drop at any time. */
  readonly residentBytes: number;
  /** Held by the process itself. */
  readonly anonymousBytes: number;
}

/** Zeros when the process is gone. */
export function memoryOf(pid: number): Memory {
  const status = readProc(`/proc/${pid}/status`);
  return {
    residentBytes: bytesOf(status, 'VmRSS'),
    anonymousBytes: bytesOf(status, 'RssAnon') + bytesOf(status, 'VmSwap'),
  };
}

/** Resident memory of processes together, in bytes: of a page that several of them share each counts its part. */
export function sharedMemoryOf(pids: readonly number[]): number {
  return pids.reduce((total, pid) => total + bytesOf(readProc(`/proc/${pid}/smaps_rollup`), 'Pss'), 0);
}

/** What a process has started, and what that has. */
export function childrenOf(pid: number): number[] {
  const pids = readProc(`/proc/${pid}/task/${pid}/children`).split(' ').filter(Boolean).map(Number);
  return pids.flatMap((child) => [child, ...childrenOf(child)]);
}

function bytesOf(text: string, field: string): number {
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0) * BYTES_PER_KIB;
}

function readProc(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}
