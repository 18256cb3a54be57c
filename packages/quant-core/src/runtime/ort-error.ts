import { TritforgeError } from '@tritforge/contracts';

const NODE = /while running (?<opType>\S+) node\. Name:\s?'(?<node>[^']*)'\s*(?:Status Message:\s*)?(?<reason>[\s\S]*)/;
const NOT_IMPLEMENTED = /implementation for (?<opType>\w+)\(\d+\) node with name '(?<node>[^']*)'/;
const LOCATED = /Node\s?(?:\((?<a>[^)]*)\)|:\s?(?<b>\S+?))\s+Op(?:\s?\((?<c>[^)]*)\)|:\s?(?<d>\S+))/;
const SOURCE_PATH = /\/onnxruntime_src\/\S+\s/g;

/**
 * What onnxruntime threw, as an error of ours that names the node where the message does.
 * @param doing what failed, such as `cannot load model.onnx`
 */
export function ortError(doing: string, cause: unknown): TritforgeError {
  const said = (cause instanceof Error ? cause.message : String(cause)).trim();
  const where = locate(said);
  return new TritforgeError('MODEL_RUN_FAILED', `onnxruntime ${doing}: ${where.reason.replaceAll(SOURCE_PATH, '')}`, {
    ...(where.node && { node: where.node }),
    ...(where.opType && { opType: where.opType }),
    remediation: 'Check that the model runs in onnxruntime 1.30 on CPU with inputs of this shape.',
    cause,
  });
}

function locate(said: string): { node?: string | undefined; opType?: string | undefined; reason: string } {
  const running = NODE.exec(said)?.groups;
  if (running) return { node: running.node, opType: running.opType, reason: running.reason?.trim() || said };
  const missing = NOT_IMPLEMENTED.exec(said)?.groups;
  if (missing) return { node: missing.node, opType: missing.opType, reason: said };
  const located = LOCATED.exec(said)?.groups;
  return { node: located?.a ?? located?.b, opType: located?.c ?? located?.d, reason: said };
}
