/** The engine: reads an ONNX model, quantizes it, writes artifacts and measures them. START HERE: quantize.ts. */
export * from './quantize.js';
