import { TritforgeError } from '@tritforge/contracts';

/** How onnxruntime's messages name a node and its operator. */
const LOCATIONS: readonly RegExp[] = [
  /running (?<opType>\S+) node\. Name:\s?'(?<node>[^']*)'/,
  /implementation for (?<opType>\w+)\(\d+\) node with name '(?<node>[^']*)'/,
  /Node \((?<node>.*?)\) Op \((?<opType>\w+)\)/,
  /In Node, \("(?<node>.*?)", (?<opType>[^,]+),/,
  /of operator \((?<opType>\w+)\) in node \((?<node>.*?)\) is/,
];

/** What does not concern the reader: where the model lay, and where in onnxruntime's sources it failed. */
const NOISE: readonly RegExp[] = [
  /^Load model from .*? failed:\s*/s,
  /^Non-zero status code returned while running .*? Status Message:\s*/s,
  /\/onnxruntime_src\/\S+\s+/g,
];

/**
 * What onnxruntime threw, as an error of ours that names the node where the message does.
 * @param doing what failed, such as `cannot load model.onnx`
 */
export function ortError(doing: string, cause: unknown): TritforgeError {
  const said = (cause instanceof Error ? cause.message : String(cause)).trim();
  const reason = NOISE.reduce((text, noise) => text.replace(noise, ''), said);
  const { node, opType } = locate(said);
  return new TritforgeError('MODEL_RUN_FAILED', `onnxruntime ${doing}: ${reason}`, {
    ...(node && { node }),
    ...(opType && { opType }),
    remediation: 'Check that onnxruntime runs the model on the CPU with inputs of these shapes.',
    cause,
  });
}

function locate(said: string): { node?: string | undefined; opType?: string | undefined } {
  for (const location of LOCATIONS) {
    const found = location.exec(said)?.groups;
    if (found) return found;
  }
  return {};
}
