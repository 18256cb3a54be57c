import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';

/** Waits until the condition holds. @throws AssertionError after five seconds */
export async function eventually(condition: () => Promise<boolean>): Promise<void> {
  const giveUpMs = Date.now() + 5000;
  while (!(await condition())) {
    assert.ok(Date.now() < giveUpMs, 'it did not happen within 5 s');
    await sleep(20);
  }
}
