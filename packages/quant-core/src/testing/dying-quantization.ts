/** A process for tests that quantizes and kills itself with SIGKILL once a phase is so far. Arguments: request as JSON, what must be done, phase. */
import { type QuantizeRequest, quantize } from '../quantize.js';
import { createOnnxRuntime } from '../runtime/onnx-runtime.js';

const request = JSON.parse(process.argv[2]!) as QuantizeRequest;
const enough = Number(process.argv[3]);
const dying = process.argv[4];

await quantize(request, {
  runtime: createOnnxRuntime(),
  onProgress: ({ phase, done }) => {
    if (phase === dying && done >= enough) process.kill(process.pid, 'SIGKILL');
  },
});
