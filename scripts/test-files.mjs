import { readdirSync } from 'node:fs';
import path from 'node:path';
import { root } from './setup.mjs';

/** The compiled test files of the sources that exist, so that what a deleted source left in dist/ never runs. */
export function compiledTestFiles() {
  const files = [];
  for (const workspace of ['packages', 'apps'].flatMap((folder) =>
    readdirSync(path.join(root, folder)).map((name) => path.join(folder, name)),
  )) {
    files.push(
      ...testsBelow(path.join(workspace, 'src')).map((file) => file.replace(`${workspace}/src/`, `${workspace}/dist/`)),
    );
  }
  for (const folder of ['bench', 'faults', 'test']) {
    files.push(...testsBelow(folder).map((file) => file.replace(`${folder}/`, `${folder}/dist/`)));
  }
  return files.map((file) => file.replace(/\.ts$/, '.js')).sort();
}

function testsBelow(folder) {
  return readdirSync(path.join(root, folder), { recursive: true })
    .map((name) => path.join(folder, String(name)))
    .filter(
      (name) =>
        name.endsWith('.test.ts') && !name.split(path.sep).includes('node_modules') && !name.startsWith('test/dist'),
    );
}
