import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ortError } from './ort-error.js';

/** Messages of onnxruntime 1.30, as it gave them. */
const MESSAGES = [
  {
    said: `Non-zero status code returned while running Mul node. Name:'layers.0.bc' Status Message: /onnxruntime_src/onnxruntime/core/element_wise_ops.h:583 void Append() axis == 1 was false. 512 by 513`,
    node: 'layers.0.bc',
    opType: 'Mul',
    message: /^onnxruntime cannot do it: void Append.* 512 by 513$/,
  },
  {
    said: `Load model from /secret/m.onnx failed:This is an invalid model. In Node, ("odd one", Frobnicate, "", -1) : ("x": tensor(float),) -> ("y": tensor(float),) , Error No Op registered for Frobnicate with domain_version of 17`,
    node: 'odd one',
    opType: 'Frobnicate',
    message: /^onnxruntime cannot do it: This is an invalid model/,
  },
  {
    said: `Load model from /secret/m.onnx failed:This is an invalid model. Type Error: Type 'tensor(int16)' of input parameter (x) of operator (Erf) in node (erf/1) is invalid.`,
    node: 'erf/1',
    opType: 'Erf',
    message: /Type Error/,
  },
  {
    said: 'Load model from /secret/m.onnx failed:Node (conv/1) Op (Conv) [ShapeInferenceError] Input tensor must have at least 3 dimensions',
    node: 'conv/1',
    opType: 'Conv',
    message: /at least 3 dimensions$/,
  },
  {
    said: `Could not find an implementation for ConvInteger(10) node with name 'c'`,
    node: 'c',
    opType: 'ConvInteger',
    message: /ConvInteger/,
  },
  { said: "input 'x' is missing in 'feeds'.", node: undefined, opType: undefined, message: /'x' is missing/ },
];

for (const { said, node, opType, message } of MESSAGES) {
  test(`"${said.slice(0, 60)}…" becomes an error that names ${node ?? 'no node'}`, () => {
    const error = ortError('cannot do it', new Error(said));
    assert.equal(error.context.node, node);
    assert.equal(error.context.opType, opType);
    assert.match(error.message, message);
    assert.doesNotMatch(error.message, /secret/);
  });
}
