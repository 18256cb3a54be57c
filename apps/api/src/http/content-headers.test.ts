import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { TritforgeError } from '@tritforge/contracts';
import { announcedSha256, contentDigest } from './content-digest.js';
import { announcedFileName, attachment } from './content-disposition.js';

const hex = createHash('sha256').update('hello').digest('hex');

test('a digest survives its way through the Content-Digest header', () => {
  const header = contentDigest(`sha256:${hex}`);
  assert.match(header, /^sha-256=:[A-Za-z0-9+/]{43}=:$/);
  assert.equal(announcedSha256(header), hex);
  assert.equal(announcedSha256(`sha-512=:AAAA:, ${header}`), hex);
});

test('a Content-Digest of other algorithms is ignored and one of the wrong length is refused', () => {
  assert.equal(announcedSha256(undefined), null);
  assert.equal(announcedSha256('sha-512=:AAAA:'), null);
  assert.throws(
    () => announcedSha256('sha-256=:AAAA:'),
    (error: TritforgeError) => error instanceof TritforgeError && error.code === 'HEADER_INVALID',
  );
});

test('file names with any characters survive Content-Disposition', () => {
  for (const name of ['model.onnx', 'modèle "ü" (1).onnx', '模型.onnx', "it's.onnx", 'a\\b;c.onnx']) {
    assert.equal(announcedFileName(attachment(name)), name);
    assert.match(attachment(name), /^[\x20-\x7e]+$/);
  }
});

test('a request without a usable file name has none', () => {
  assert.equal(announcedFileName(undefined), undefined);
  assert.equal(announcedFileName('attachment'), undefined);
  assert.equal(announcedFileName("attachment; filename*=UTF-8''%ff"), undefined);
  assert.equal(announcedFileName('attachment; filename=model.onnx; size=3'), 'model.onnx');
});
