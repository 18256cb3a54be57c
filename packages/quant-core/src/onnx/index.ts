/** Reads, checks and writes ONNX files. Nothing outside this folder knows protobuf. */
export * from './limits.js';
export * from './read-model.js';
export * from './validate-model.js';
export * from './write-model.js';
