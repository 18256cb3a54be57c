import { createReadStream, createWriteStream, mkdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { extract } from 'tar-stream';

/** Unpacks the .onnx files of a .tar.gz, each into a folder named like the one it lies in, and returns their paths. */
export async function unpackModels(archive: string, folder: string): Promise<string[]> {
  const paths: string[] = [];
  const entries = extract();
  const feeding = pipeline(createReadStream(archive), createGunzip(), entries);
  for await (const entry of entries) {
    if (!entry.header.name.endsWith('.onnx')) {
      entry.resume();
      continue;
    }
    const path = join(folder, basename(dirname(entry.header.name)), basename(entry.header.name));
    mkdirSync(dirname(path), { recursive: true });
    await pipeline(entry, createWriteStream(path));
    paths.push(path);
  }
  await feeding;
  return paths.sort();
}
