import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '../testing/random.js';
import { probabilities } from './candidates.js';
import { pairGradient, samplePair } from './sample-pair.js';

test('pairs are two candidates whose shares add up to one; one alone counts fully', () => {
  const random = seededRandom(1);
  const logits = Float64Array.of(0.3, -0.2, 0.1, 0);
  for (let i = 0; i < 200; i++) {
    const { positions, shares } = samplePair(logits, 0.1 + random() * 10, random);
    assert.ok(positions[0]! < positions[1]! && positions[1]! < 4);
    assert.ok(Math.abs(shares[0]! + shares[1]! - 1) < 1e-12 && shares.every((share) => share >= 0));
  }
  assert.deepEqual(samplePair(Float64Array.of(3), 1, random), { positions: [0], shares: [1] });
});

test('candidates are drawn the more often the likelier they are', () => {
  const random = seededRandom(2);
  const logits = Float64Array.of(0, 2, 0, 0);
  const counts = [0, 0, 0, 0];
  for (let i = 0; i < 2000; i++) for (const at of samplePair(logits, 1, random).positions) counts[at]!++;
  assert.ok(counts[1]! > 1.5 * Math.max(counts[0]!, counts[2]!, counts[3]!), counts.join());
});

test('the gradient by logits is that of shares through the noise that was drawn', () => {
  const temperature = 0.7;
  const logits = Float64Array.of(0.4, -0.3, 0.9);
  const slopes = [1.5, -0.25];
  const pair = samplePair(logits, temperature, seededRandom(5));
  const gradient = pairGradient(pair, slopes, 3, temperature);
  // The noise is what is left of the shares beside the logits.
  const [a, b] = pair.positions as [number, number];
  const noise = Math.log(pair.shares[0]! / pair.shares[1]!) * temperature - (logits[a]! - logits[b]!);
  const loss = (at: Float64Array) => {
    const shares = probabilities(Float64Array.of((at[a]! - at[b]! + noise) / temperature, 0));
    return shares[0]! * slopes[0]! + shares[1]! * slopes[1]!;
  };
  for (let k = 0; k < 3; k++) {
    const step = 1e-5;
    const difference = loss(logits.with(k, logits[k]! + step)) - loss(logits.with(k, logits[k]! - step));
    assert.ok(Math.abs(difference / (2 * step) - gradient[k]!) < 1e-8, `${k}`);
  }
});
