import assert from 'node:assert/strict';
import { test } from 'node:test';
import { matchesGlob } from './glob.js';

test('* stands for any characters, slashes included, and ? for one', () => {
  const matching: [string, string][] = [
    ['*', ''],
    ['*', '/a/b'],
    ['/layer1/*', '/layer1/0/conv'],
    ['*conv?', 'x.conv1'],
    ['a*b*c', 'aXXbYYbc'],
    ['conv', 'conv'],
    ['**', 'x'],
    ['?', '/'],
  ];
  const others: [string, string][] = [
    ['', 'a'],
    ['/layer1/*', '/layer10/x'],
    ['conv?', 'conv'],
    ['a*b', 'abc'],
    ['Conv', 'conv'],
    ['a.b', 'axb'],
    ['[a]', 'a'],
  ];
  for (const [glob, name] of matching) assert.equal(matchesGlob(glob, name), true, `${glob} ~ ${name}`);
  for (const [glob, name] of others) assert.equal(matchesGlob(glob, name), false, `${glob} !~ ${name}`);
});

test('many stars take no more than quadratic time', () => {
  assert.equal(matchesGlob('*a'.repeat(200), `${'a'.repeat(2000)}b`), false);
});
