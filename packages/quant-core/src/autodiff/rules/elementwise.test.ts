import { test } from 'node:test';
import { checkGradient } from '../testing/check-gradient.js';

for (const op of ['Add', 'Sub', 'Mul', 'Div', 'Pow']) {
  test(`${op} sums gradients back to the shapes that were broadcast`, async (t) => {
    const range = [0.5, 2] as const;
    for (const inputs of [
      [
        [2, 3],
        [2, 3],
      ],
      [
        [2, 3, 4],
        [3, 1],
      ],
      [[4], [2, 1, 4]],
      [
        [1, 3],
        [2, 1],
      ],
      [[], [2, 3]],
    ])
      await checkGradient(t, { node: { op }, inputs, range });
  });
}

for (const op of ['Sqrt', 'Exp', 'Log', 'Neg', 'Abs', 'Reciprocal']) {
  test(`${op} has the derivative of its definition`, async (t) => {
    await checkGradient(t, { node: { op }, inputs: [[2, 3, 2]], range: [0.3, 2] });
    if (op === 'Neg' || op === 'Exp' || op === 'Abs' || op === 'Reciprocal')
      await checkGradient(t, { node: { op }, inputs: [[5]], range: [-2, -0.3] });
  });
}
