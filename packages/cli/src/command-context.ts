/** What a command gets besides its arguments. */
export interface CommandContext {
  /** Aborts when the user wants to stop. */
  readonly signal: AbortSignal;
  /** Print JSON instead of words. */
  readonly asJson: boolean;
}
