/** Numbers of channels and what they cost, as `@tritforge/quant-core/nce`. START HERE: search/search-widths.ts. */
export { mulberry32 } from '../seeded-random.js';
export { type ControlName, controlWidths } from './controls.js';
export { networkCost } from './cost.js';
export { deriveNetwork } from './derive.js';
export { namedWidths } from './named-widths.js';
export { type SearchSpace, searchSpace } from './search-space.js';
export { plainOrders, repeated } from './start-weights.js';
export { isFree, widthGraph } from './widths/width-graph.js';
export type { WidthId } from './widths/width-table.js';
