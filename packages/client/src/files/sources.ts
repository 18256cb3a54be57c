import type { Preprocess } from '@tritforge/contracts';

/** A model on this machine. */
export interface ModelFiles {
  /** The .onnx file. */
  readonly path: string;
  /** Files with external data: their paths, or also the names by which the model refers to them, which are else the paths from its folder. */
  readonly data?: readonly (string | NamedFile)[] | undefined;
}

/** A file that goes by another name. */
export interface NamedFile {
  readonly path: string;
  readonly name: string;
}

/** A dataset on this machine. */
export interface DatasetFile {
  /** .npz, or .zip or .tar of images with a csv of labels. */
  readonly path: string;
  /** How samples become inputs of the model. */
  readonly preprocess?: Preprocess | undefined;
}
