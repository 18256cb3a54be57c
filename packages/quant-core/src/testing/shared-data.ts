import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder with real models and data: TRITFORGE_TEST_DATA, else `../shared/data` beside the repository. */
const folder =
  process.env.TRITFORGE_TEST_DATA ?? resolve(fileURLToPath(import.meta.url), '../../../../../../shared/data');

/** Path of a file in the folder with real models and data. */
export function sharedData(...parts: readonly string[]): string {
  return join(folder, ...parts);
}

/** For `skip` of a test: false when all files are there, else the reason why the test cannot run. */
export function skipWithout(...files: readonly string[]): string | false {
  const missing = files.find((file) => !existsSync(sharedData(file)));
  return missing === undefined ? false : `${missing} is not in TRITFORGE_TEST_DATA nor in ../shared/data`;
}
