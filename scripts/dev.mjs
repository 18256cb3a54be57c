/** `npm run dev`: like `npm start`, but compiles on every change and restarts what the change touches. */
import { spawn } from 'node:child_process';
import path from 'node:path';
import { main, root, setUp } from './setup.mjs';
import { Stack, stopOnSignal } from './stack.mjs';

await main(async () => {
  setUp();
  const compiler = spawn(
    process.execPath,
    ['node_modules/typescript/bin/tsc', '-b', '--watch', '--preserveWatchOutput'],
    {
      cwd: root,
      stdio: ['ignore', 'inherit', 'inherit'],
    },
  );
  process.once('exit', () => compiler.kill());
  const stack = new Stack({
    dataDir: path.resolve(process.env.TRITFORGE_DATA_DIR || path.join(root, '.data')),
    host: process.env.TRITFORGE_HOST || '127.0.0.1',
    port: Number(process.env.TRITFORGE_PORT || 8080),
    nodeArguments: ['--enable-source-maps', '--watch', '--watch-preserve-output'],
  });
  stopOnSignal(() => stack.stop());
  await stack.start();
  process.stdout.write(`\nTritforge is ready at ${stack.url} and follows your changes. Ctrl-C stops it.\n`);
});
