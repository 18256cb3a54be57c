import assert from 'node:assert/strict';
import { test } from 'node:test';
import { npyDataOffset, parseNpyHeader } from './npy-header.js';
import { assertFails } from './testing/errors.js';

/** A header as NumPy writes it, but of any version and any dictionary. */
function header(dictionary: string, version = 1): Buffer {
  const text = Buffer.from(`${dictionary}\n`, 'latin1');
  const length = Buffer.alloc(version === 1 ? 2 : 4);
  if (version === 1) length.writeUInt16LE(text.length);
  else length.writeUInt32LE(text.length);
  return Buffer.concat([Buffer.from(`\x93NUMPY${String.fromCharCode(version)}\0`, 'latin1'), length, text]);
}

function parse(dictionary: string, version = 1) {
  const bytes = header(dictionary, version);
  assert.equal(npyDataOffset(bytes, 'x'), bytes.length);
  return parseNpyHeader(bytes, 'x');
}

const plain = (descr: string, shape = '(2, 3)') => `{'descr': ${descr}, 'fortran_order': False, 'shape': ${shape}, }`;

test('headers of the versions 1, 2 and 3 are read', () => {
  for (const version of [1, 2, 3]) {
    const { dtype, shape, dataBytes } = parse(plain("'<f4'"), version);
    assert.deepEqual([dtype, shape, dataBytes], ['float32', [2, 3], 24]);
  }
});

test('every accepted dtype is known by its NumPy name and its size', () => {
  const sizes = { b1: 1, u1: 1, i1: 1, u2: 2, i2: 2, f2: 2, u4: 4, i4: 4, f4: 4, i8: 8, f8: 8 };
  for (const [kind, bytes] of Object.entries(sizes)) {
    assert.equal(parse(plain(`'${bytes === 1 ? '|' : '<'}${kind}'`)).dataBytes, 6 * bytes, kind);
  }
  assert.equal(parse(plain("'>u1'")).dtype, 'uint8', 'one byte has no order');
});

test('the order of the keys, double quotes, long integers and scalar shapes do not matter', () => {
  assert.deepEqual(parse(`{"shape": (7L,), "fortran_order": False, "descr": "<i8"}`).shape, [7]);
  assert.deepEqual(parse(plain("'<f4'", '()')).shape, []);
  assert.deepEqual(parse(plain("'<f4'", '(0, 5)')).shape, [0, 5]);
});

test('one-dimensional arrays may say Fortran order, others may not', async () => {
  assert.deepEqual(parse("{'descr': '<f4', 'fortran_order': True, 'shape': (4,), }").shape, [4]);
  const fortran = "{'descr': '<f4', 'fortran_order': True, 'shape': (4, 2), }";
  await assertFails(() => parse(fortran), 'DATASET_ARRAY_INVALID', /array 'x' is stored in Fortran order/);
});

test('big-endian, object, string, record, complex and unsigned 64-bit arrays are refused by name', async () => {
  for (const descr of [
    "'>f4'",
    "'|O'",
    "'<U5'",
    "'|S3'",
    "[('a', '<f4'), ('b', '<i4')]",
    "'<c8'",
    "'<u8'",
    "'<M8[ns]'",
  ]) {
    await assertFails(() => parse(plain(descr)), 'DATASET_DTYPE_UNSUPPORTED', /array 'x' has the NumPy dtype/);
  }
});

test('headers that are no dictionary, lack a key or go on after their end are refused', async () => {
  const bad = [
    '',
    '{',
    "['<f4']",
    "{'descr': '<f4', 'shape': (2,)}",
    `${plain("'<f4'")} 1`,
    plain("'<f4'", '(-1,)'),
    plain("'<f4'", '(1.5,)'),
    plain("'<f4'", "('a',)"),
    plain("'<f4'", '2'),
    `{'descr': ${'('.repeat(100)}`,
    '__import__("os")',
  ];
  for (const text of bad) await assertFails(() => parse(text), 'DATASET_ARRAY_INVALID', /header that cannot be read/);
});

test('shapes that no file can hold are refused', async () => {
  await assertFails(
    () => parse(plain("'<f4'", '(999999999999999, 999999)')),
    'DATASET_ARRAY_INVALID',
    /impossible shape/,
  );
});

test('files without the magic number, of an unknown version or with an endless header are refused', async () => {
  const wrongMagic = header(plain("'<f4'"));
  wrongMagic[1] = 0;
  await assertFails(() => npyDataOffset(wrongMagic, 'x'), 'DATASET_ARRAY_INVALID', /does not start as a .npy file/);
  await assertFails(() => npyDataOffset(header('', 4), 'x'), 'DATASET_ARRAY_INVALID', /version 4/);
  await assertFails(() => npyDataOffset(Buffer.alloc(0), 'x'), 'DATASET_ARRAY_INVALID', /does not start/);
  const long = header('', 2);
  long.writeUInt32LE(0x7fffffff, 8);
  await assertFails(() => npyDataOffset(long, 'x'), 'DATASET_ARRAY_INVALID', /header of 2147483647 bytes/);
});
