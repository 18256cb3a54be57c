import { EXIT } from './exit-code.js';

/** Whether somebody wants the command to stop. */
export interface Interruption {
  /** Aborts on Ctrl-C and its kind. */
  readonly signal: AbortSignal;
  /** The exit code that goes with what came, or null while nothing came. */
  readonly exitCode: number | null;
  /** From now on the first Ctrl-C aborts the signal that is returned, and only the next one stops the command. */
  settleFirst(): AbortSignal;
}

/** Takes over the signals that end a process, so that work can stop and clean up. A second signal does not wait for that. */
export function listenForInterruption(): Interruption {
  const abort = new AbortController();
  let settle: AbortController | null = null;
  const interruption = {
    signal: abort.signal,
    exitCode: null as number | null,
    settleFirst: () => {
      settle ??= new AbortController();
      return settle.signal;
    },
  };
  const listen = (signal: NodeJS.Signals, exitCode: number) =>
    process.on(signal, () => {
      if (signal === 'SIGINT' && settle !== null && !settle.signal.aborted) return settle.abort();
      if (interruption.exitCode !== null) process.exit(exitCode);
      interruption.exitCode = exitCode;
      abort.abort();
    });
  listen('SIGINT', EXIT.interrupted);
  listen('SIGTERM', EXIT.terminated);
  listen('SIGHUP', EXIT.hungUp);
  return interruption;
}
