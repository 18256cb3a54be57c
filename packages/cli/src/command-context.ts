/** What a command gets besides its arguments. */
export interface CommandContext {
  /** Aborts when the user wants to stop. */
  readonly signal: AbortSignal;
  /** For work that can end at any time: from now on the first Ctrl-C aborts the signal that is returned. */
  readonly settleFirst: () => AbortSignal;
  /** Print JSON instead of words. */
  readonly asJson: boolean;
}
