import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TritforgeError } from '@tritforge/contracts';
import { externalDataPath, safeFileName } from './file-names.js';

const codeOf = (work: () => unknown): string => {
  try {
    work();
  } catch (error) {
    if (error instanceof TritforgeError) return error.code;
  }
  return 'accepted';
};

test('a file name loses its folders and its unsafe characters', () => {
  assert.equal(safeFileName('resnet.onnx', 'model.onnx'), 'resnet.onnx');
  assert.equal(safeFileName('../../etc/passwd', 'model.onnx'), 'passwd');
  assert.equal(safeFileName('C:\\models\\a.onnx', 'model.onnx'), 'a.onnx');
  assert.equal(safeFileName('a\u0000b:c?.onnx', 'model.onnx'), 'a_b_c_.onnx');
  assert.equal(safeFileName('модель.onnx', 'model.onnx'), 'модель.onnx');
});

test('a name without anything usable becomes the fallback', () => {
  for (const name of [undefined, '', '.', '..', '...', 'folder/'])
    assert.equal(safeFileName(name, 'model.onnx'), 'model.onnx');
});

test('a name that is too long keeps its end', () => {
  const name = safeFileName(`${'é'.repeat(300)}.onnx`, 'model.onnx');
  assert.ok(Buffer.byteLength(name) <= 255);
  assert.ok(name.endsWith('é.onnx'));
});

test('external data may lie in folders below the model', () => {
  for (const path of ['weights.bin', 'data/layer 1/weights', 'onnx::MatMul_12', 'a..b/c.data']) {
    assert.equal(externalDataPath(path), path);
  }
});

test('external data outside the folder of the model is refused', () => {
  for (const path of [
    '../weights',
    'a/../../b',
    '/etc/passwd',
    'C:\\x',
    'c:x',
    'a\\..\\b',
    '\\\\host\\share',
    'a/..',
  ]) {
    assert.equal(
      codeOf(() => externalDataPath(path)),
      'MODEL_EXTERNAL_DATA_ESCAPES',
      path,
    );
  }
});

test('external data without a usable name is refused', () => {
  for (const path of [undefined, '', 'a//b', './a', 'a/', 'a\u0000b', 'x'.repeat(256), `${'x/'.repeat(600)}x`]) {
    assert.equal(
      codeOf(() => externalDataPath(path)),
      'MULTIPART_INVALID',
      String(path).slice(0, 20),
    );
  }
});
