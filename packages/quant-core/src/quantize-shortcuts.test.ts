import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import type { ArtifactProfile, Recipe } from '@tritforge/contracts';
import { MAX_ENCODING_ERROR, MIN_SQNR_DB } from './artifact/verify.js';
import { writeNpz } from './data/index.js';
import { syntheticFeeds } from './evaluate/index.js';
import { readModel, validateModel } from './onnx/index.js';
import { checkReport } from './testing/check-report.js';
import { quantizeModel } from './testing/quantize-request.js';
import { shortcutNetwork } from './testing/shortcut-network.js';
import { temporaryFolder } from './testing/temporary-folder.js';

const PROFILES = ['portable', 'compat', 'accelerated', 'ort-nbits'] as const satisfies ArtifactProfile[];

for (const [method, bits] of [
  ['uniform', 2],
  ['fgq', 2],
  ['fgq', 4],
] as const) {
  test(`${method} networks with ${bits}-bit inputs and wide shortcuts equal the reference in all profiles`, async (t) => {
    const calibration = join(temporaryFolder(t), 'noise.npz');
    await writeNpz(calibration, syntheticFeeds([{ name: 'x', dtype: 'float32', shape: [16, 8, 9, 9] }], 5));
    const recipe: Recipe = {
      method,
      ...(method === 'fgq' && { weights: { groupSize: 4 } }),
      activations: { bits, minimumSqnrDb: null, shortcuts: 'wide' },
      artifacts: [...PROFILES],
    };
    const data = { calibration: { path: calibration } };
    const { report, request } = await quantizeModel(t, shortcutNetwork(), recipe, data);
    assert.deepEqual(
      report.artifacts.map(({ profile }) => profile),
      PROFILES,
    );
    for (const { fileName, verification } of report.artifacts) {
      assert.ok(verification.passed && verification.encodingMaxAbsError! <= MAX_ENCODING_ERROR, fileName);
      assert.ok(verification.sqnrDb! >= MIN_SQNR_DB, `${fileName}: ${verification.sqnrDb} dB`);
      const artifact = await readModel(join(request.outputDir, fileName));
      await validateModel(artifact);
      assert.ok(!artifact.graph.nodes.some(({ opType }) => opType === 'Identity'));
      if (fileName.includes('portable')) await checkReport(report, shortcutNetwork(), artifact);
    }
    assert.deepEqual(
      report.layers.map(({ applied, reason }) => [applied.activationBits, reason?.includes('activations') ?? false]),
      [8, bits, bits, bits, bits, bits, 8].map((applied) => [applied, false]),
    );
  });
}
