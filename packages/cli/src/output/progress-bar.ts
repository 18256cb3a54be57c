import type { TaskProgress } from '@tritforge/quant-core/process';
import { Presets, SingleBar } from 'cli-progress';
import { formatDuration } from './duration.js';

/** How far something is, in a phase of the engine or another one. */
export type ShownProgress = Omit<TaskProgress, 'phase'> & { readonly phase: string };

/** A progress bar on standard error when that is a terminal; otherwise nothing is shown. */
export interface ProgressDisplay {
  readonly show: (progress: ShownProgress) => void;
  /** Takes the bar off the screen. */
  close(): void;
}

export function openProgressDisplay(): ProgressDisplay {
  if (!process.stderr.isTTY) return { show: () => {}, close: () => {} };
  const bar = new SingleBar(
    {
      format: '{phase} [{bar}] {value}/{total} {unit}{left}{detail}',
      stream: process.stderr,
      clearOnComplete: true,
      hideCursor: true,
      barsize: 30,
      fps: 10,
      stopOnComplete: false,
      gracefulExit: false,
    },
    Presets.shades_classic,
  );
  let isStarted = false;
  return {
    show({ phase, done, total, unit, etaSeconds, detail }) {
      const words = {
        phase: phase.padEnd(9),
        unit,
        detail: detail === undefined ? '' : ` (${detail})`,
        left: etaSeconds === null ? '' : `, ${formatDuration(etaSeconds)} left`,
      };
      if (!isStarted) bar.start(total, done, words);
      isStarted = true;
      bar.setTotal(total);
      bar.update(done, words);
    },
    close: () => bar.stop(),
  };
}
