/** Products of float64 matrices by the kernels. */
import { loadSubtractProduct, NativeKernelsUnavailable, type SubtractProduct } from '@tritforge/kernels';

let loaded: SubtractProduct | null | undefined;

/** C −= A·B in native code; null where it was not built. See the kernels for its arguments and its rounding. */
export function nativeProduct(): SubtractProduct | null {
  if (loaded === undefined) loaded = load();
  return loaded;
}

function load(): SubtractProduct | null {
  try {
    return loadSubtractProduct();
  } catch (error) {
    if (error instanceof NativeKernelsUnavailable) return null;
    throw error;
  }
}
