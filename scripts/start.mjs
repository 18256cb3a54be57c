/** `npm start`: the service until Ctrl-C, on http://127.0.0.1:8080 unless TRITFORGE_HOST and TRITFORGE_PORT say otherwise. */
import path from 'node:path';
import { main, root, setUp } from './setup.mjs';
import { Stack, stopOnSignal } from './stack.mjs';

await main(async () => {
  setUp();
  const dataDir = path.resolve(process.env.TRITFORGE_DATA_DIR || path.join(root, '.data'));
  const stack = new Stack({
    dataDir,
    host: process.env.TRITFORGE_HOST || '127.0.0.1',
    port: Number(process.env.TRITFORGE_PORT || 8080),
  });
  stopOnSignal(() => stack.stop());
  await stack.start();
  process.stdout.write(`
Tritforge is ready at ${stack.url}   (API documentation: ${stack.url}/docs)
  database: ${stack.database}, queue: ${stack.queue}, data: ${dataDir}

Try it:
  curl -sS ${stack.url}/jobs -F model=@examples/shapes/model.onnx -F calibration=@examples/shapes/calibration.npz \\
    -F evaluation=@examples/shapes/evaluation.zip -F 'job=@examples/shapes/job.json;type=application/json'

Ctrl-C stops it.
`);
});
