/** How the learning rate goes with the share of the training that is done, in steps or in time. */
export type Schedule =
  | { readonly kind: 'constant' }
  /** Half a cosine from the peak down to `floor` of it. Source: Loshchilov and Hutter 2017, without restarts. */
  | { readonly kind: 'cosine'; readonly floor: number }
  /** Times `factor` at each of the given shares. */
  | { readonly kind: 'step'; readonly at: readonly number[]; readonly factor: number };

/**
 * @param share of the training that is done, from 0 to 1
 * @param warmUp share of the training in which the rate rises from 0, in a straight line
 * @returns times the peak learning rate
 */
export function rateAt(schedule: Schedule, share: number, warmUp = 0): number {
  const done = Math.min(Math.max(share, 0), 1);
  return (done < warmUp ? done / warmUp : 1) * shapeAt(schedule, done);
}

function shapeAt(schedule: Schedule, done: number): number {
  if (schedule.kind === 'constant') return 1;
  if (schedule.kind === 'step') return schedule.factor ** schedule.at.filter((share) => done >= share).length;
  return schedule.floor + (1 - schedule.floor) * (0.5 + 0.5 * Math.cos(Math.PI * done));
}
