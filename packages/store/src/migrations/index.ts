/**
 * Brings the database to the newest schema, creating it when missing. Processes that start together take turns.
 * Returns the names of the migrations that were applied.
 */
export async function deployMigrations(databaseUrl: string): Promise<string[]> {
  throw new Error(`cannot migrate ${databaseUrl.length}: being built`);
}
