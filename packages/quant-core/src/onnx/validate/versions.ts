import { TritforgeError } from '@tritforge/contracts';
import type { Model } from '../../ir/index.js';

/** What onnxruntime 1.30 loads. It runs some models below opset 7, without any promise. */
const IR_VERSIONS = { min: 3, max: 13 };
const OPSETS: ReadonlyMap<string, { readonly min: number; readonly max: number }> = new Map([
  ['', { min: 7, max: 26 }],
  ['ai.onnx.ml', { min: 1, max: 5 }],
  ['com.microsoft', { min: 1, max: 1 }],
]);

/** @throws TritforgeError MODEL_UNSUPPORTED_OPSET when the IR version or an opset is not one that onnxruntime loads */
export function checkVersions(model: Model): void {
  if (model.irVersion < IR_VERSIONS.min || model.irVersion > IR_VERSIONS.max) {
    const message = `The model has IR version ${model.irVersion}; supported are ${IR_VERSIONS.min} to ${IR_VERSIONS.max}`;
    throw new TritforgeError('MODEL_UNSUPPORTED_OPSET', message, { remediation: REMEDY });
  }
  checkOpsets(model.opsetImports, 'The model');
  for (const { name, opsetImports } of model.functions) checkOpsets(opsetImports, `Function ${name}`);
}

function checkOpsets(imports: ReadonlyMap<string, number>, owner: string): void {
  for (const [domain, version] of imports) {
    const range = OPSETS.get(domain);
    if (range === undefined || (version >= range.min && version <= range.max)) continue;
    const name = domain || 'ai.onnx';
    throw new TritforgeError(
      'MODEL_UNSUPPORTED_OPSET',
      `${owner} uses opset ${version} of ${name}; supported are ${range.min} to ${range.max}`,
      { opset: version, remediation: REMEDY },
    );
  }
}

const REMEDY = 'Export the model for a supported version, for example opset 17 with IR version 8.';
