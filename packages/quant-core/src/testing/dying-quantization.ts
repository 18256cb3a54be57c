/** A process for tests that quantizes and kills itself with SIGKILL once so many layers are solved. Arguments: request as JSON, layers. */
import { type QuantizeRequest, quantize } from '../quantize.js';
import { createOnnxRuntime } from '../runtime/onnx-runtime.js';

const request = JSON.parse(process.argv[2]!) as QuantizeRequest;
const layers = Number(process.argv[3]);

await quantize(request, {
  runtime: createOnnxRuntime(),
  onProgress: ({ phase, done }) => {
    if (phase === 'quantize' && done === layers) process.kill(process.pid, 'SIGKILL');
  },
});
