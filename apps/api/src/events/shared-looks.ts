/**
 * Lets those who ask the same at once share one look: a change wakes every stream that follows a project, and all of them want to know
 * the same. An answer is never older than its question, since a look is joined until it begins, and not while it goes on.
 */
export class SharedLooks {
  readonly #next = new Map<string, Promise<unknown>>();
  readonly #running = new Map<string, Promise<void>>();

  /** @param question equal for looks that find the same */
  ask<Answer>(question: string, look: () => Promise<Answer>): Promise<Answer> {
    const joined = this.#next.get(question) as Promise<Answer> | undefined;
    if (joined !== undefined) return joined;
    const next = this.#turn(question).then(() => {
      this.#next.delete(question);
      const answer = look();
      this.#note(question, answer);
      return answer;
    });
    this.#next.set(question, next);
    return next;
  }

  /** The end of the look that goes on; where none does, of what runs now, in which others ask. */
  #turn(question: string): Promise<void> {
    return this.#running.get(question) ?? new Promise((resolve) => setImmediate(resolve));
  }

  #note(question: string, answer: Promise<unknown>): void {
    const running = answer.then(
      () => {},
      () => {},
    );
    this.#running.set(question, running);
    void running.then(() => {
      if (this.#running.get(question) === running) this.#running.delete(question);
    });
  }
}
