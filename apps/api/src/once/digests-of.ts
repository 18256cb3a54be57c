import type { NewFile } from '@tritforge/store';

/** What files are, for a comparison of requests: names and contents. */
export function digestsOf(files: readonly NewFile[]): { readonly name: string; readonly digest: string }[] {
  return files.map(({ name, blob }) => ({ name, digest: blob.digest }));
}
