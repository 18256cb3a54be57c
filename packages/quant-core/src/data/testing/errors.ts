import assert from 'node:assert/strict';
import { type ErrorCode, TritforgeError } from '@tritforge/contracts';

/** Asserts that work fails with a code and a message that matches. */
export async function assertFails(work: () => unknown, code: ErrorCode, message: RegExp): Promise<void> {
  await assert.rejects(
    async () => {
      await work();
    },
    (error) => {
      if (!(error instanceof TritforgeError)) throw error;
      assert.equal(error.code, code, error.message);
      assert.match(error.message, message);
      return true;
    },
  );
}
