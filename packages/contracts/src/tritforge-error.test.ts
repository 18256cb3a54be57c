import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TritforgeError } from './tritforge-error.js';

test('an error crosses a process boundary whole', () => {
  const error = new TritforgeError('MODEL_INVALID', 'It is wrong', { node: 'a', opset: 3, field: 'x.y', cause: 'why' });
  const copy = TritforgeError.from(error.toJSON());
  assert.deepEqual(copy.toJSON(), error.toJSON());
  assert.equal(copy.context.cause, undefined);
});

test('names of strangers do not make it long, nor leave half of a character', () => {
  const name = '\u{1f9e0}'.repeat(100_000);
  const error = new TritforgeError('DATASET_PATH_INVALID', name, { field: `.${name}`, node: 'a' });
  const { message, field, node } = error.toJSON();
  assert.equal(message, `${name.slice(0, 2000)}…`);
  assert.equal(field, `.${name.slice(0, 998)}…`);
  assert.equal(node, 'a');
  assert.ok(JSON.stringify({ message, field }).length < 10_000);
});
