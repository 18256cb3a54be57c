import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** The onnxruntime library that onnxruntime-node ships for this system, or null where it ships none. */
export function onnxruntimeLibrary(): string | null {
  const bin = join(dirname(createRequire(import.meta.url).resolve('onnxruntime-node/package.json')), 'bin');
  const folders = readdirSync(bin).map((version) => join(bin, version, process.platform, process.arch));
  for (const folder of folders) {
    const found = filesIn(folder).find((name) => /^libonnxruntime\.(so\.1|.*dylib)$/.test(name));
    if (found !== undefined) return join(folder, found);
  }
  return null;
}

function filesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
