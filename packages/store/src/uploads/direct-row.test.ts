import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MAX_UPLOAD_PARTS } from '@tritforge/contracts';
import { partBytesOf } from './direct-row.js';

const MIB = 2 ** 20;

test('parts are of whole MiB, no smaller than S3 takes and not more than there may be, whatever the size of the file', () => {
  for (const sizeBytes of [1, 8 * MIB, 8 * MIB + 1, 16 * 1024 * MIB, 5000 * 8 * MIB, 5000 * 8 * MIB + 1, 5 * 2 ** 40]) {
    const partBytes = partBytesOf(sizeBytes);
    assert.equal(partBytes % MIB, 0);
    assert.ok(partBytes >= 8 * MIB);
    assert.ok(Math.ceil(sizeBytes / partBytes) <= MAX_UPLOAD_PARTS, `${sizeBytes}`);
    assert.ok(partBytes === 8 * MIB || sizeBytes > MAX_UPLOAD_PARTS * (partBytes - MIB), 'no larger than it must be');
  }
});
