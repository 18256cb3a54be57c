import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { acceleratedRuntime } from './create-runtime.js';

const MODULE = new URL('./training-runtime.js', import.meta.url).href;

/** Whether training is native in a process that is held to an instruction set, and the name of its engine. */
function chosenWith(isa: string): [boolean, string] {
  const program = `import { createTrainingRuntime, trainsNatively } from ${JSON.stringify(MODULE)};
    console.log(JSON.stringify([trainsNatively(), createTrainingRuntime().engine]));`;
  const env = { ...process.env, TRITFORGE_KERNELS: isa };
  return JSON.parse(execFileSync(process.execPath, ['--input-type=module', '-e', program], { env, encoding: 'utf8' }));
}

test('training uses our operators where they have vectors, and stock onnxruntime elsewhere', {
  skip:
    (acceleratedRuntime() === null && 'the native kernels were not built') || (process.arch !== 'x64' && 'x64 only'),
}, () => {
  const [isNative, engine] = chosenWith('avx2');
  assert.equal(isNative, true);
  assert.match(engine, /^tritforge operators \(avx2\) in onnxruntime /);
  const [isNativeWithout, stock] = chosenWith('scalar');
  assert.equal(isNativeWithout, false);
  assert.match(stock, /^onnxruntime \d/);
});
