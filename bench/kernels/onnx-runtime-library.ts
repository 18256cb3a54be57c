import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const PACKAGE = new URL('../../../packages/quant-core/package.json', import.meta.url);

/** The onnxruntime library that onnxruntime-node loads on this machine. */
export function onnxRuntimeLibrary(): string {
  const bin = join(dirname(createRequire(PACKAGE).resolve('onnxruntime-node/package.json')), 'bin');
  const folder = readdirSync(bin).map((name) => join(bin, name, process.platform, process.arch))[0]!;
  const file = readdirSync(folder).find((name) => /^libonnxruntime\.(so\.\d+|.*dylib)$/.test(name));
  if (file === undefined) throw new Error(`There is no onnxruntime library in ${folder}`);
  return join(folder, file);
}
