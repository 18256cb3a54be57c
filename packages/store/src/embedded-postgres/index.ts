export interface EmbeddedPostgresOptions {
  /** Directory of the cluster; created when missing. */
  readonly dataDir: string;
  /** Receives one sentence when something differs from what the caller may expect, such as another directory. */
  readonly onNotice?: (message: string) => void;
}

/** A running embedded server. */
export interface EmbeddedPostgres {
  /** Where the cluster lies; differs from the option when the server's user cannot reach that place. */
  readonly dataDir: string;
  readonly port: number;
  readonly pid: number;
  /** True when the server was running already. */
  readonly reused: boolean;
  /** Connection string of a database of the cluster. */
  databaseUrl(database: string): string;
  /** Stops the server cleanly (checkpoint), also one that was reused. */
  stop(): Promise<void>;
}

/** Starts, or finds running, the PostgreSQL server of `dataDir`. @throws TritforgeError SERVICE_UNAVAILABLE */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  throw new Error(`cannot start ${options.dataDir}: the launcher is being built`);
}
