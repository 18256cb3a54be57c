#!/usr/bin/env node
import { existsSync } from 'node:fs';

const main = new URL('../dist/main.js', import.meta.url);
if (existsSync(main)) {
  await import(main.href);
} else {
  process.stderr.write('tritforge is not compiled yet. Run `npm run build` in its checkout first.\n');
  process.exitCode = 1;
}
