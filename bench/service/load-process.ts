/** Both ends of a process that makes load, so that the service is not measured by whoever watches it. */
import { fork } from 'node:child_process';
import { once } from 'node:events';

/** Load that another process makes. */
export interface RunningLoad<Result> {
  /** It is at work: every stream is open. */
  readonly ready: Promise<void>;
  readonly result: Promise<Result>;
  /** Asks it to end. */
  stop(): void;
}

type Report<Result> = { readonly ready: true } | { readonly result: Result };

/** Starts a compiled script that ends with {@link makeLoad}. What it has not told when it ends is rejected. */
export function startLoad<Plan, Result>(script: string, plan: Plan): RunningLoad<Result> {
  const child = fork(script);
  const told = <T>(pick: (report: Report<Result>) => T | undefined): Promise<T> =>
    new Promise((resolve, reject) => {
      child.on('message', (report: Report<Result>) => {
        const picked = pick(report);
        if (picked !== undefined) resolve(picked);
      });
      child.once('exit', (code) => reject(new Error(`${script} ended with ${code} before it had a result`)));
    });
  const ready = told((report) => ('ready' in report ? report.ready : undefined)).then(() => {});
  const result = told((report) => ('result' in report ? report.result : undefined));
  // Not everybody waits for both.
  for (const promise of [ready, result]) promise.catch(() => {});
  child.send({ plan });
  return {
    ready,
    result,
    stop: () => {
      if (child.connected) child.send({ stop: true });
    },
  };
}

/** What a process that makes load is told, and tells. */
export interface LoadControl {
  readonly stopped: AbortSignal;
  ready(): void;
}

/** In the process itself: takes the plan, and sends what came of it. */
export async function makeLoad<Plan, Result>(
  work: (plan: Plan, control: LoadControl) => Promise<Result>,
): Promise<void> {
  const stopping = new AbortController();
  // Whoever asked for the load is gone.
  process.once('disconnect', () => process.exit(1));
  const [{ plan }] = (await once(process, 'message')) as [{ plan: Plan }];
  process.once('message', () => stopping.abort());
  const result = await work(plan, { stopped: stopping.signal, ready: () => process.send!({ ready: true }) });
  process.send!({ result }, () => process.exit(0));
}
