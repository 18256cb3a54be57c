import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Remembered } from './remembered.js';

/** What had to be found, in that order. */
const found: string[] = [];
const finding = (value: string) => async () => {
  found.push(value);
  return value;
};

test('what is remembered is found once, and again when it was forgotten or others were asked for since', async () => {
  const values = new Remembered<string>(2);
  const ask = (value: string) => values.get(value, finding(value));
  for (const value of ['a', 'b', 'a', 'c', 'a', 'b']) assert.equal(await ask(value), value);
  assert.deepEqual(found.splice(0), ['a', 'b', 'c', 'b']);
  values.forget('b');
  for (const value of ['b', 'a']) await ask(value);
  assert.deepEqual(found.splice(0), ['b']);
});

test('what is not found is looked for again', async () => {
  const values = new Remembered<string>(2);
  await assert.rejects(
    values.get('a', async () => {
      throw new Error('not there');
    }),
    /not there/,
  );
  assert.equal(await values.get('a', finding('a')), 'a');
});
