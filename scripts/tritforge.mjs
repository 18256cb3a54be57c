/** The command line from a checkout: `npm run -s tritforge -- quantize model.onnx --out out`. */
import { main, setUp } from './setup.mjs';

await main(async () => {
  setUp();
  // npm runs scripts in the checkout; file names belong to the folder in which the user typed them.
  if (process.env.INIT_CWD) process.chdir(process.env.INIT_CWD);
  await import('../packages/cli/bin/tritforge.mjs');
});
