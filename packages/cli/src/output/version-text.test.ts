import assert from 'node:assert/strict';
import { test } from 'node:test';
import { versionText } from './version-text.js';

test('versions have a line each, and kernels that are not native say why and what to do', () => {
  assert.equal(
    versionText('1.2.3', { onnxruntime: '1.30.0', kernels: { implementation: 'native', reason: null } }),
    'tritforge 1.2.3\nonnxruntime 1.30.0\nkernels native\n',
  );
  const reason = 'No compiler was found. To get native kernels: install one, then run "node build.mjs".';
  assert.equal(
    versionText('1.2.3', { onnxruntime: '1.30.0', kernels: { implementation: 'fallback', reason } }),
    'tritforge 1.2.3\nonnxruntime 1.30.0\nkernels fallback\n  No compiler was found.\n  To get native kernels: install one, then run "node build.mjs".\n',
  );
});
