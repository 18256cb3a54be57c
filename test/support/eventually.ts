import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';

/** Waits until the condition holds. @throws AssertionError when the time is over */
export async function eventually(condition: () => Promise<boolean>, timeoutMs = 5000): Promise<void> {
  const giveUpMs = Date.now() + timeoutMs;
  while (!(await condition())) {
    assert.ok(Date.now() < giveUpMs, `it did not happen within ${timeoutMs} ms`);
    await sleep(20);
  }
}
