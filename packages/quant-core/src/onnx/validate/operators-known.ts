import { TritforgeError } from '@tritforge/contracts';
import { type Model, type Node, walkGraphs } from '../../ir/index.js';
import { functionOf, functionsByKey } from './function-calls.js';
import { OPERATORS } from './operators.js';

/**
 * Every node must be an operator that onnxruntime has or a function of the model, and its domain must be imported.
 * @throws TritforgeError MODEL_UNKNOWN_DOMAIN, MODEL_UNKNOWN_OPERATOR, MODEL_UNSUPPORTED_OPSET
 */
export function checkOperators(model: Model): void {
  const functions = functionsByKey(model);
  const functionDomains = new Set(model.functions.map((definition) => definition.domain));
  walkGraphs(model, (scope) => {
    const imports = scope.function?.opsetImports ?? model.opsetImports;
    for (const node of scope.nodes) {
      if (functionOf(functions, node) === undefined) checkOperator(node, functionDomains, imports);
    }
  });
}

function checkOperator(node: Node, functionDomains: ReadonlySet<string>, imports: ReadonlyMap<string, number>): void {
  const { name, opType, domain } = node;
  const known = OPERATORS.get(domain);
  if (known === undefined && !functionDomains.has(domain)) {
    throw new TritforgeError('MODEL_UNKNOWN_DOMAIN', `Node ${name} (${opType}) is of the unknown domain ${domain}`, {
      node: name,
      opType,
      remediation:
        'Use ai.onnx, ai.onnx.ml or com.microsoft operators, or put the operator into the model as a function.',
    });
  }
  if (!known?.has(opType)) {
    const message = `Node ${name} is a ${opType}, which ${domain || 'ai.onnx'} does not have`;
    throw new TritforgeError('MODEL_UNKNOWN_OPERATOR', message, {
      node: name,
      opType,
      remediation: 'Export the model with standard operators; the names are case sensitive.',
    });
  }
  if (!imports.has(domain)) {
    const message = `Node ${name} (${opType}) is of the domain ${domain || 'ai.onnx'}, whose opset the model does not state`;
    throw new TritforgeError('MODEL_UNSUPPORTED_OPSET', message, {
      node: name,
      opType,
      remediation: 'Add the domain to the opset imports of the model.',
    });
  }
}
