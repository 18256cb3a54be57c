/** `npm run faults -- [options]`: the fault campaign, see faults/faults.ts. */
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { main, root, setUp } from './setup.mjs';

await main(() => {
  setUp();
  const file = path.join(root, 'faults', 'dist', 'faults.js');
  const { status } = spawnSync(process.execPath, ['--enable-source-maps', file, ...process.argv.slice(2)], {
    stdio: 'inherit',
  });
  process.exitCode = status ?? 1;
});
