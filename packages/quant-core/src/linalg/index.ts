/** Dense float64 linear algebra for matrices of a few thousand columns. */
export { factorUpper } from './cholesky.js';
export { type Strided, subtractProduct } from './product.js';
export { sharedFloat64, shareFloat64 } from './shared-array.js';
export { multiplyUpper, solveTransposed, solveUpper } from './triangular.js';
