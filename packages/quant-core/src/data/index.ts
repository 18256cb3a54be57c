/** Datasets: from a file of arrays or images to what the runs of a model take. */
export type { Batch, Dataset } from './dataset.js';
export { checkDataset, type FeedPlan, type ModelInput, type PlannedInput, planFeeds } from './feed-plan.js';
export { type FeedRun, feedsOf, sliceRows, trimPadding } from './feeds.js';
export { type DatasetLimits, DEFAULT_DATASET_LIMITS } from './limits.js';
export { writeNpz } from './npz-write.js';
export { type DatasetOptions, inspectDataset, openDataset } from './open-dataset.js';
