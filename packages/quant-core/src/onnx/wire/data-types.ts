import { TritforgeError } from '@tritforge/contracts';
import { type DataType, dtypeByNumber } from '../../ir/index.js';

/**
 * The element type that a file means by a number.
 * @throws TritforgeError MODEL_UNSUPPORTED_DTYPE for numbers that onnxruntime 1.30 does not know
 */
export function dataTypeOf(number: number, where: string): DataType {
  const dtype = dtypeByNumber(number);
  if (dtype !== 'undefined' || number === 0) return dtype;
  throw new TritforgeError('MODEL_UNSUPPORTED_DTYPE', `${where} has the unknown element type ${number}`, {
    remediation: 'Export the model with float32 weights and activations.',
  });
}
