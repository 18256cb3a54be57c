/** What API, worker, engine, command line and clients share: schemas, states, ids, error codes. */
export * from './access.js';
export * from './complete-recipe.js';
export * from './error-codes.js';
export * from './fine-tune.js';
export * from './ids.js';
export * from './layer-match.js';
export * from './nce.js';
export * from './nce-report.js';
export * from './nullable.js';
export * from './preprocess.js';
export * from './recipe.js';
export * from './recipe-check.js';
export * from './report.js';
export * from './resources.js';
export * from './retention.js';
export * from './tritforge-error.js';
export * from './webhooks.js';
