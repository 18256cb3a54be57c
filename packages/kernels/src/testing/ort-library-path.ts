import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

/** The ONNX Runtime that onnxruntime-node ships for this system, or null where there is none. */
export function ortLibraryPath(): string | null {
  const bin = path.join(path.dirname(createRequire(import.meta.url).resolve('onnxruntime-node/package.json')), 'bin');
  const system = path.join(process.platform, process.arch);
  const libraries = readdirSync(bin, { recursive: true })
    .map(String)
    .filter(
      (name) => path.dirname(name).endsWith(system) && /^libonnxruntime\.(so\.1|.*dylib)$/.test(path.basename(name)),
    );
  return libraries[0] === undefined ? null : path.join(bin, libraries[0]);
}
