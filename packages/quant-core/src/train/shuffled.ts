/** The values in an order that the generator decides. Source: Durstenfeld 1964, the Fisher–Yates shuffle. */
export function shuffled(values: readonly number[], next: () => number): number[] {
  const order = [...values];
  for (let i = order.length - 1; i > 0; i--) {
    const j = Math.floor(next() * (i + 1));
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}

/** Consecutive pieces of one size; a rest that fills none is left out. */
export function piecesOf(values: readonly number[], size: number): number[][] {
  const count = Math.floor(values.length / size);
  return Array.from({ length: count }, (_, i) => values.slice(i * size, (i + 1) * size));
}
