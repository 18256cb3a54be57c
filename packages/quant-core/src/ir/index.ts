/** The graph that passes work on: plain data, no protobuf, no execution. */
export * from './attribute.js';
export * from './attribute-access.js';
export * from './captured-values.js';
export * from './dtype.js';
export * from './dtype-numbers.js';
export * from './float-formats.js';
export * from './graph.js';
export * from './graph-index.js';
export * from './names.js';
export * from './shapes/infer-shapes.js';
export * from './shapes/macs.js';
export * from './tensor.js';
export * from './tensor-builders.js';
export * from './tensor-bytes.js';
export * from './tensor-values.js';
export * from './topological-order.js';
export * from './walk-graphs.js';
