/** An error that says itself how the command ends. Its code may be one that a newer service has and this command does not know. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly exitCode: number;
  readonly code: string;
  /** What to do about it, and where to find more, in sentences. */
  readonly hints: readonly string[];
  readonly #json: object;

  /** @param error what went wrong, and its JSON form */
  constructor(
    exitCode: number,
    error: { readonly code: string; readonly message: string; readonly json: object },
    hints: readonly string[],
  ) {
    super(error.message);
    this.exitCode = exitCode;
    this.code = error.code;
    this.hints = hints;
    this.#json = error.json;
  }

  toJSON(): object {
    return this.#json;
  }
}
