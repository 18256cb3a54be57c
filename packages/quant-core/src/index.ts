/** The engine: reads an ONNX model, quantizes it, writes artifacts and measures them. START HERE: quantize.ts. */

export * from './data/index.js';
export * from './quantize.js';
export { acceleratedRuntime, createRuntime } from './runtime/create-runtime.js';
export { createOnnxRuntime } from './runtime/onnx-runtime.js';
export { onnxruntimeLibrary } from './runtime/onnxruntime-library.js';
