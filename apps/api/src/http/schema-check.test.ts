import assert from 'node:assert/strict';
import { test } from 'node:test';
import { JobRequest, TritforgeError } from '@tritforge/contracts';
import Type from 'typebox';
import { compileCheck } from './schema-check.js';

const check = compileCheck(JobRequest, 'BODY_INVALID');
const modelId = `mdl_${'0'.repeat(26)}`;

function refusal(input: unknown, by: (input: unknown) => unknown = check): TritforgeError {
  try {
    by(input);
  } catch (error) {
    assert.ok(error instanceof TritforgeError);
    return error;
  }
  throw new assert.AssertionError({ message: `${JSON.stringify(input)} was accepted` });
}

test('a body that matches its schema comes back as it was', () => {
  const body = { modelId, recipe: { weights: { groupSize: 4 } }, labels: { team: 'vision' } };
  assert.equal(check(body), body);
});

test('an error names the path of the field and what would fit', () => {
  const { field, message } = { ...refusal({ modelId, recipe: { weights: { groupSize: 5 } } }).toJSON() };
  assert.equal(field, 'recipe.weights.groupSize');
  assert.equal(message, 'recipe.weights.groupSize must be one of [4,8,16,32,64,128]');
});

test('an error in a union lists what every branch would take', () => {
  const { field, message } = refusal({ modelId, recipe: { activations: { bits: 5 } } }).toJSON();
  assert.equal(field, 'recipe.activations.bits');
  assert.equal(message, 'recipe.activations.bits must be 8 or must be 4 or must be 3 or must be 2 or must be null');
});

test('missing and unknown fields are named', () => {
  assert.equal(refusal({}).message, 'modelId is missing');
  assert.equal(refusal({ modelId, recipe: { bits: 2 } }).message, 'recipe.bits is not a known field');
  assert.equal(refusal({ modelId, labels: { 'a b': 'c' } }).context.field, 'labels.a b');
});

test('what is not an object is refused as a whole', () => {
  for (const body of [null, [], 'text', 7]) assert.equal(refusal(body).message, 'The body must be object');
});

test('a prefix stands before the path', () => {
  assert.equal(refusal({}, compileCheck(JobRequest, 'BODY_INVALID', 'job')).context.field, 'job.modelId');
});

test('texts that a database cannot hold are refused', () => {
  assert.equal(refusal({ modelId, labels: { team: 'a\u0000b' } }).context.field, 'labels.team');
  assert.equal(refusal({ modelId, labels: { team: '\ud800' } }).code, 'BODY_INVALID');
});

test('query texts become numbers, and what is none is refused', () => {
  const query = compileCheck(Type.Object({ limit: Type.Integer({ minimum: 1 }) }), 'QUERY_INVALID', '', {
    convert: true,
  });
  assert.deepEqual(query({ limit: '20' }), { limit: 20 });
  assert.equal(refusal({ limit: 'many' }, query).code, 'QUERY_INVALID');
});

test('values nested a hundred thousand deep are refused, not followed', () => {
  let deep: unknown = 'x';
  for (let i = 0; i < 100_000; i++) deep = [deep];
  assert.equal(refusal({ modelId, recipe: { artifacts: [deep, deep] } }).code, 'BODY_INVALID');
  assert.equal(refusal({ modelId, recipe: deep }).code, 'BODY_INVALID');
});
