import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', '..');

/** File that breaks a rule, what it imports, and whether the rules allow it. */
const SEEDS: [file: string, imported: string, allowed: boolean][] = [
  ['packages/contracts/src/seed.ts', '@tritforge/store', false],
  ['packages/kernels/src/seed.ts', '@tritforge/contracts', false],
  ['packages/store/src/seed.ts', '@tritforge/quant-core', false],
  ['packages/store/src/fine.ts', '@tritforge/contracts', true],
  ['packages/telemetry/src/seed.ts', '@tritforge/store', false],
  ['packages/telemetry/src/fine.ts', '@tritforge/contracts', true],
  ['packages/quant-core/src/calibrate/seed.ts', '@tritforge/store', false],
  ['packages/quant-core/src/pipeline/page-seed.ts', '@tritforge/report-html', false],
  ['packages/quant-core/src/calibrate/kernels-seed.ts', '@tritforge/kernels', false],
  ['packages/quant-core/src/calibrate/ort-seed.ts', 'onnxruntime-node', false],
  ['packages/quant-core/src/passes/protobuf-seed.ts', '@bufbuild/protobuf', false],
  ['packages/quant-core/src/passes/http-seed.ts', 'fastify', false],
  ['packages/quant-core/src/runtime/fine.ts', 'onnxruntime-node', true],
  ['packages/quant-core/src/ir/seed.ts', '../onnx/read-model.js', false],
  ['packages/quant-core/src/fgq/seed.ts', '../passes/any.js', false],
  ['packages/client/src/seed.ts', '@tritforge/store', false],
  ['packages/client/src/http/undici-seed.ts', 'undici', false],
  ['packages/client/src/fine.ts', '@tritforge/contracts', true],
  ['packages/report-html/src/seed.ts', '@tritforge/quant-core', false],
  ['packages/report-html/src/fine.ts', '@tritforge/contracts', true],
  ['packages/cli/src/seed.ts', '@tritforge/store', false],
  ['packages/cli/src/fine.ts', '@tritforge/report-html', true],
  ['packages/cli/src/commands/client-seed.ts', '@tritforge/client', false],
  ['packages/cli/src/remote/store-seed.ts', '@tritforge/store', false],
  ['packages/cli/src/remote/fine.ts', '@tritforge/client', true],
  ['packages/cli/src/admin/fine.ts', '@tritforge/store', true],
  ['apps/api/src/seed.ts', '@tritforge/worker', false],
  ['apps/api/src/ort-seed.ts', 'onnxruntime-node', false],
  ['apps/api/src/fine.ts', '@tritforge/store', true],
  ['apps/api/src/otel-seed.ts', '@opentelemetry/api', false],
  ['apps/worker/src/otel-seed.ts', '@opentelemetry/api', false],
  ['apps/worker/src/fine.ts', '@tritforge/telemetry', true],
  ['apps/worker/src/page-seed.ts', '@tritforge/report-html', false],
  ['apps/worker/src/seed.ts', '@tritforge/api', false],
];

test('a seeded breach of each import rule is reported by the lint, and what the rules allow is not', () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'tritforge-lint-'));
  try {
    copyFileSync(path.join(root, 'biome.json'), path.join(folder, 'biome.json'));
    for (const [file, imported] of SEEDS) {
      mkdirSync(path.join(folder, path.dirname(file)), { recursive: true });
      writeFileSync(path.join(folder, file), `import { x } from '${imported}';\n\nexport const y = x;\n`);
    }
    const biome = path.join(root, 'node_modules/@biomejs/biome/bin/biome');
    const { stdout, stderr } = spawnSync(
      process.execPath,
      [biome, 'lint', '--vcs-enabled=false', '--reporter=github', '--max-diagnostics=none', '.'],
      { cwd: folder, encoding: 'utf8' },
    );
    const reported = new Set([...stdout.matchAll(/noRestrictedImports,file=([^,]+),/g)].map((match) => match[1]));
    for (const [file, imported, allowed] of SEEDS) {
      assert.equal(reported.has(file), !allowed, `${file} imports ${imported}\n${stdout}${stderr}`);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
