/** The graph that passes work on: plain data, no protobuf, no execution. */
export * from './attribute.js';
export * from './dtype.js';
export * from './graph.js';
export * from './tensor.js';
