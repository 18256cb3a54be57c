/** Whether a name matches a glob: `*` stands for any characters, slashes included, `?` for one. */
export function matchesGlob(glob: string, name: string): boolean {
  let [g, n] = [0, 0];
  let star = -1;
  let resume = 0;
  while (n < name.length) {
    if (glob[g] === '*') {
      star = g++;
      resume = n;
    } else if (g < glob.length && (glob[g] === '?' || glob[g] === name[n])) {
      g++;
      n++;
    } else if (star >= 0) {
      g = star + 1;
      n = ++resume;
    } else return false;
  }
  while (glob[g] === '*') g++;
  return g === glob.length;
}
