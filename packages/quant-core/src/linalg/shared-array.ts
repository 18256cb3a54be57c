/** An array of zeros that threads can share: a message takes it along without a copy. */
export function sharedFloat64(length: number): Float64Array {
  return new Float64Array(new SharedArrayBuffer(length * Float64Array.BYTES_PER_ELEMENT));
}

/** The array itself where threads can share it, else a copy that they can. */
export function shareFloat64(values: Float64Array): Float64Array {
  if (values.buffer instanceof SharedArrayBuffer) return values;
  const shared = sharedFloat64(values.length);
  shared.set(values);
  return shared;
}
