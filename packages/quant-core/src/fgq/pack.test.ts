import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { pack2, packedByteLength, unpack2 } from './pack.js';
import { uniformNumbers } from './random-weights.js';

describe('packed ternary codes', () => {
  it('lie low bits first, with -1 as 0b11 and zeros after the last', () => {
    assert.deepEqual(pack2(Int8Array.of(1, -1, 0, 1, -1)), Uint8Array.of(0b01_00_11_01, 0b00_00_00_11));
  });

  it('unpack to what was packed, at every length', () => {
    const uniform = uniformNumbers(1);
    for (let count = 0; count <= 33; count++) {
      const codes = Int8Array.from({ length: count }, () => Math.floor(uniform() * 3) - 1);
      const bytes = pack2(codes);
      assert.equal(bytes.length, packedByteLength(count));
      assert.deepEqual(unpack2(bytes, count), codes);
    }
  });

  it('are refused when they are not ternary or their number does not fit', () => {
    assert.throws(() => pack2(Int8Array.of(0, 2)), { message: 'code 1 is 2, not −1, 0 or 1' });
    assert.throws(() => pack2(Int8Array.of(-2)), RangeError);
    assert.throws(() => unpack2(Uint8Array.of(0b10_00), 4), { message: /code 1 is 0b10/ });
    assert.throws(() => unpack2(new Uint8Array(2), 4), { message: '4 codes take 1 bytes, got 2' });
  });
});
