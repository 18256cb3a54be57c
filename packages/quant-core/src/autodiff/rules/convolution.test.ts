import { test } from 'node:test';
import { type Attribute, intsValue, intValue, stringValue } from '../../ir/index.js';
import { checkGradient } from '../testing/check-gradient.js';

type Form = readonly [what: string, x: number[], w: number[], attributes?: Record<string, number | number[] | string>];

const CONV: readonly Form[] = [
  ['one axis', [2, 3, 9], [4, 3, 3]],
  [
    'one axis with stride, dilation and uneven padding',
    [2, 3, 11],
    [2, 3, 3],
    { strides: [2], dilations: [2], pads: [1, 2] },
  ],
  ['one axis depthwise', [2, 3, 9], [3, 1, 4], { group: 3, pads: [1, 2], strides: [2] }],
  ['two axes', [2, 3, 5, 6], [4, 3, 3, 3], { pads: [1, 1, 1, 1] }],
  ['strides that leave inputs out', [2, 3, 8, 7], [4, 3, 3, 2], { strides: [3, 2], pads: [0, 1, 0, 0] }],
  ['strides beyond the kernel', [2, 2, 8, 9], [3, 2, 2, 2], { strides: [3, 4] }],
  ['padding beyond the kernel', [2, 2, 4, 5], [3, 2, 2, 2], { pads: [3, 0, 2, 4] }],
  ['padding beyond the kernel and strides', [2, 2, 4, 5], [3, 2, 2, 2], { pads: [3, 0, 2, 4], strides: [2, 3] }],
  ['dilations', [2, 3, 7, 8], [4, 3, 3, 2], { dilations: [2, 3], pads: [2, 1, 1, 2] }],
  [
    'dilation of the last axis alone, with strides',
    [2, 2, 6, 9],
    [3, 2, 2, 3],
    { dilations: [1, 2], strides: [2, 2], pads: [0, 2, 1, 1] },
  ],
  ['dilation of the first axis alone', [2, 2, 8, 5], [3, 2, 3, 3], { dilations: [2, 1], pads: [1, 0, 2, 1] }],
  ['groups', [2, 6, 5, 4], [4, 3, 3, 2], { group: 2, pads: [1, 0, 1, 1] }],
  ['groups and strides', [2, 4, 7, 5], [6, 2, 3, 3], { group: 2, pads: [1, 1, 1, 1], strides: [2, 2] }],
  ['groups and dilations', [2, 4, 7, 7], [6, 2, 3, 3], { group: 2, dilations: [2, 2], pads: [2, 1, 1, 2] }],
  ['depthwise', [2, 5, 6, 5], [5, 1, 3, 3], { group: 5, pads: [1, 1, 1, 1] }],
  [
    'depthwise with strides and uneven padding',
    [2, 3, 8, 7],
    [3, 1, 3, 3],
    { group: 3, pads: [0, 0, 1, 1], strides: [2, 2] },
  ],
  ['depthwise with dilations', [2, 3, 7, 8], [3, 1, 3, 2], { group: 3, dilations: [2, 2], pads: [2, 1, 0, 1] }],
  ['depthwise with several outputs per channel', [2, 3, 5, 6], [6, 1, 3, 3], { group: 3, pads: [1, 1, 1, 1] }],
  ['1×1', [2, 3, 4, 5], [4, 3, 1, 1]],
  ['1×1 of more channels than places', [3, 9, 2, 1], [8, 9, 1, 1]],
  ['1×1 with strides', [2, 3, 6, 5], [4, 3, 1, 1], { strides: [2, 3] }],
  ['1×1 with padding', [2, 3, 4, 5], [4, 3, 1, 1], { pads: [1, 0, 0, 1] }],
  ['1×1 in groups', [2, 4, 3, 5], [6, 2, 1, 1], { group: 2 }],
  ['1×1 in groups of more channels than places', [2, 12, 1, 2], [10, 6, 1, 1], { group: 2 }],
  ['1×1 depthwise', [2, 3, 4, 3], [3, 1, 1, 1], { group: 3 }],
  ['a kernel as large as the image', [2, 3, 4, 3], [5, 3, 4, 3]],
  ['SAME_UPPER', [2, 3, 6, 7], [2, 3, 3, 4], { auto_pad: 'SAME_UPPER', strides: [2, 2] }],
  ['SAME_LOWER', [2, 3, 6, 7], [2, 3, 3, 4], { auto_pad: 'SAME_LOWER', strides: [2, 2] }],
  ['SAME_UPPER without strides', [2, 2, 5, 4], [3, 2, 2, 4], { auto_pad: 'SAME_UPPER' }],
  ['SAME_LOWER without strides', [2, 2, 5, 4], [3, 2, 2, 4], { auto_pad: 'SAME_LOWER' }],
  ['VALID', [2, 2, 5, 6], [3, 2, 3, 3], { auto_pad: 'VALID', strides: [2, 1] }],
  ['NOTSET', [2, 2, 5, 6], [3, 2, 3, 3], { auto_pad: 'NOTSET', pads: [1, 0, 0, 1] }],
  ['three axes', [2, 2, 4, 3, 5], [3, 2, 2, 3, 3], { pads: [1, 1, 0, 0, 1, 1], strides: [1, 1, 2] }],
];

const CONV_TRANSPOSE: readonly Form[] = [
  ['one axis', [2, 3, 5], [3, 4, 3]],
  [
    'one axis with stride, padding and output padding',
    [2, 3, 5],
    [3, 2, 3],
    { strides: [2], pads: [1, 0], output_padding: [1] },
  ],
  ['two axes', [2, 3, 4, 5], [3, 2, 3, 3], { pads: [1, 1, 1, 1] }],
  ['strides', [2, 3, 4, 3], [3, 2, 2, 2], { strides: [2, 2] }],
  [
    'strides, uneven padding and output padding',
    [2, 3, 4, 3],
    [3, 2, 3, 3],
    { strides: [2, 3], pads: [1, 0, 0, 1], output_padding: [1, 2] },
  ],
  ['strides beyond the kernel', [2, 2, 3, 4], [2, 3, 2, 1], { strides: [3, 2] }],
  ['dilations', [2, 2, 4, 5], [2, 3, 3, 2], { dilations: [2, 3], pads: [1, 2, 2, 1] }],
  [
    'dilations, strides and output padding',
    [2, 2, 3, 3],
    [2, 3, 2, 3],
    { dilations: [2, 2], strides: [2, 2], output_padding: [1, 1] },
  ],
  ['groups', [2, 4, 4, 3], [4, 3, 3, 3], { group: 2, strides: [2, 2], pads: [1, 1, 1, 1], output_padding: [1, 0] }],
  ['depthwise', [2, 3, 4, 3], [3, 1, 4, 4], { group: 3, strides: [2, 2], pads: [1, 1, 1, 1] }],
  ['1×1', [2, 3, 4, 3], [3, 5, 1, 1]],
  ['1×1 with strides', [2, 3, 3, 3], [3, 5, 1, 1], { strides: [2, 2], output_padding: [1, 1] }],
  ['SAME_UPPER', [2, 2, 3, 4], [2, 3, 3, 4], { auto_pad: 'SAME_UPPER', strides: [2, 2] }],
  ['SAME_LOWER', [2, 2, 3, 4], [2, 3, 3, 4], { auto_pad: 'SAME_LOWER', strides: [2, 2] }],
  [
    'SAME_UPPER with output padding',
    [2, 2, 3, 4],
    [2, 3, 3, 4],
    { auto_pad: 'SAME_UPPER', strides: [2, 2], output_padding: [1, 0] },
  ],
  ['VALID', [2, 2, 3, 4], [2, 3, 3, 2], { auto_pad: 'VALID', strides: [2, 1] }],
  ['a given output shape', [2, 2, 4, 3], [2, 3, 3, 3], { output_shape: [8, 6], strides: [2, 2] }],
];

for (const [op, forms] of [
  ['Conv', CONV],
  ['ConvTranspose', CONV_TRANSPOSE],
] as const) {
  for (const [what, x, w, attributes = {}] of forms) {
    test(`${op} has the derivatives of its definition: ${what}`, async (t) => {
      const node = { op, attributes: attributesOf(attributes) };
      const channels = op === 'Conv' ? w[0]! : w[1]! * Number(attributes.group ?? 1);
      await checkGradient(t, { node, inputs: [x, w, [channels]] });
    });
  }
  test(`${op} needs no bias`, async (t) => {
    const inputs = [
      [2, 2, 4, 3],
      [2, 2, 2, 2],
    ];
    await checkGradient(t, { node: { op }, inputs });
  });
}

for (const opset of [13, 21])
  test(`convolutions of opset ${opset} have gradients of its operators`, async (t) => {
    const strided = attributesOf({ strides: [2, 2], pads: [0, 1, 1, 1] });
    for (const [x, w, group] of [
      [[2, 3, 6, 7], [4, 3, 3, 3], 1],
      [[2, 3, 6, 7], [3, 1, 3, 3], 3],
      [[2, 4, 6, 7], [4, 2, 3, 3], 2],
    ] as const)
      for (const attributes of [{}, strided])
        await checkGradient(t, {
          node: { op: 'Conv', attributes: { ...attributes, group: intValue(group) } },
          inputs: [x, w, [w[0]]],
          opset,
        });
  });

function attributesOf(given: Readonly<Record<string, number | number[] | string>>): Record<string, Attribute> {
  const attribute = (value: number | number[] | string): Attribute => {
    if (typeof value === 'number') return intValue(value);
    return typeof value === 'string' ? stringValue(value) : intsValue(value);
  };
  return Object.fromEntries(Object.entries(given).map(([name, value]) => [name, attribute(value)]));
}
