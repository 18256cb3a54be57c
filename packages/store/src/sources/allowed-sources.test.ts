import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { allowedSource, parseSourcePlaces } from './allowed-sources.js';

const ALLOWED = parseSourcePlaces('s3://models s3://data/public, s3://service');
const OWN = parseSourcePlaces('s3://service/tritforge/');

const open = (url: string, allowed = ALLOWED) => allowedSource(url, allowed, OWN, 'model');

describe('addresses of objects', () => {
  test('lead into the places that are allowed', () => {
    assert.deepEqual(open('s3://models/a/net.onnx'), { bucket: 'models', key: 'a/net.onnx' });
    assert.deepEqual(open('s3://data/public/x y.npz'), { bucket: 'data', key: 'public/x y.npz' });
    assert.deepEqual(open('s3://service/tritforge.onnx'), { bucket: 'service', key: 'tritforge.onnx' });
  });

  test('lead nowhere else, and the error says where they may', () => {
    for (const url of [
      's3://others/net.onnx',
      's3://data/private/net.onnx',
      's3://data/publicity/net.onnx',
      's3://data/public/../private/net.onnx',
      's3://data/public/./net.onnx',
      's3://data/public/..',
      's3://data/public',
      's3://data/public/',
      's3://data//public/net.onnx',
      's3://models/a/../../service/net.onnx',
      's3://models/a\0b',
      's3://models/a\r\nb',
      's3://service//../tritforge/sha256/ab',
      's3://Models/net.onnx',
      'S3://models/net.onnx',
      's3://models:80/net.onnx',
      's3://user@models/net.onnx',
      's3://models@169.254.169.254/net.onnx',
      's3://169.254.169.254/latest/meta-data',
      's3://models\\net.onnx',
      's3:models/net.onnx',
      'file:///etc/passwd',
      '//models/net.onnx',
      '',
      's3://service/tritforge/sha256/ab/abcd',
      's3://models/',
      's3://models',
      'https://models/net.onnx',
    ]) {
      assert.throws(() => open(url), {
        code: 'SOURCE_NOT_ALLOWED',
        context: {
          field: 'model',
          remediation: 'Name an object below s3://models/ or s3://data/public/ or s3://service/.',
        },
      });
    }
    assert.throws(() => open('s3://models/net.onnx', []), { code: 'SOURCE_NOT_ALLOWED' });
  });

  test('are allowed by places that are addresses', () => {
    assert.deepEqual(parseSourcePlaces(''), []);
    for (const text of ['models', 's3://', 's3://x', 's3://models/../x', 'https://models/x']) {
      assert.throws(() => parseSourcePlaces(text), /addresses between spaces/, text);
    }
  });
});
