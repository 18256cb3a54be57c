import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GroupSize } from '@tritforge/contracts';
import { precisionClass } from './precision.js';
import { STYLE } from './style.js';

const TEXT = ['ink', 'soft', 'link', 'good', 'bad'];
const MARKS = ['n128', 'n64', 'n32', 'n16', 'n8', 'n4', 'planes', 'uniform', 'int4', 'int8', 'float'];

/** Colours of the first and the second `:root` block: light and dark. */
const SCHEMES = [...STYLE.matchAll(/:root \{([^}]*#[^}]*--ink[^}]*)\}/g)].map(
  ([, block]) => new Map([...block!.matchAll(/--([\w-]+): #([0-9a-f]{6})/g)].map(([, name, hex]) => [name!, hex!])),
);

/** Relative luminance, WCAG 2.2. */
function luminance(hex: string): number {
  const [red, green, blue] = [0, 2, 4].map((at) => {
    const share = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red! + 0.7152 * green! + 0.0722 * blue!;
}

function contrast(a: string, b: string): number {
  const [light, dark] = [luminance(a), luminance(b)].sort((x, y) => y - x);
  return (light! + 0.05) / (dark! + 0.05);
}

test('every group size has a colour, and so have weights without groups', () => {
  for (const groupSize of [...GroupSize.enum, null]) {
    const key = precisionClass({ bits: 2, groupSize, activationBits: 8 });
    assert.match(STYLE, new RegExp(`\\.${key} \\{ --k: `), key);
  }
});

test('text and marks stand out from the paper as WCAG asks for, in light and in dark', () => {
  assert.equal(SCHEMES.length, 2);
  for (const colours of SCHEMES) {
    for (const [names, least] of [
      [TEXT, 4.5],
      [MARKS, 3],
    ] as const) {
      for (const name of names) {
        for (const paper of name === 'ink' || name === 'soft' ? ['paper', 'raised'] : ['paper']) {
          const ratio = contrast(colours.get(name)!, colours.get(paper)!);
          assert.ok(ratio >= least, `${name} on ${paper}: ${ratio.toFixed(2)}`);
        }
      }
    }
  }
});
