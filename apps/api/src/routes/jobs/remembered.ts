/** Values that do not change, by their keys: as many as fit, and of those the ones that were asked for last. */
export class Remembered<Value> {
  readonly #limit: number;
  /** In the order in which they were asked for. */
  readonly #values = new Map<string, Value>();

  /** @param limit how many are remembered */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** @throws what `find` throws, which is not remembered */
  async get(key: string, find: () => Promise<Value>): Promise<Value> {
    const value = this.#values.get(key) ?? (await find());
    this.#values.delete(key);
    this.#values.set(key, value);
    if (this.#values.size > this.#limit) this.forget(this.#values.keys().next().value!);
    return value;
  }

  forget(key: string): void {
    this.#values.delete(key);
  }
}
