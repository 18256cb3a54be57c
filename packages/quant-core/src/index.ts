/** The engine: reads an ONNX model, quantizes it, writes artifacts and measures them. START HERE: quantize.ts. */

export * from './data/index.js';
export * from './quantize.js';
export { createOnnxRuntime } from './runtime/onnx-runtime.js';
