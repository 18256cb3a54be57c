/** `npm run bench -- <name> [options]` runs bench/<name>.ts; without a name it lists what there is. */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { main, root, setUp } from './setup.mjs';

await main(() => {
  const [name, ...options] = process.argv.slice(2);
  const names = readdirSync(path.join(root, 'bench'))
    .filter((file) => file.endsWith('.ts'))
    .map((file) => file.slice(0, -3));
  if (!name || !names.includes(name)) throw new Error(`Usage: npm run bench -- <${names.join(' | ')}> [options]`);
  setUp();
  const file = path.join(root, 'bench', 'dist', `${name}.js`);
  if (!existsSync(file)) throw new Error(`${file} was not compiled.`);
  process.exitCode =
    spawnSync(process.execPath, ['--enable-source-maps', file, ...options], { stdio: 'inherit' }).status ?? 1;
});
