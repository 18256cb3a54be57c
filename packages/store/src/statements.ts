import { TritforgeError } from '@tritforge/contracts';
import pg from 'pg';
import type { Prisma } from './generated/client.js';

/**
 * SQL that requests send all the time, on the connections of the client but past it: what the client does for a query costs more than a
 * short query itself. The server keeps each statement with its plan, on each connection.
 */
export class Statements {
  readonly #pool: pg.Pool;

  constructor(pool: pg.Pool) {
    this.#pool = pool;
  }

  /**
   * The rows that a statement returns; they must name their columns, so that a migration under running processes leaves them as they are.
   * @param name of the statement, whose text must always be the same
   * @throws TritforgeError SERVICE_UNAVAILABLE when the database cannot be reached, and what the server refuses as it says it
   */
  async run<Row extends object>(name: string, query: Prisma.Sql): Promise<Row[]> {
    try {
      const { rows } = await this.#pool.query<Row>({ name, text: query.text, values: query.values });
      return rows;
    } catch (error) {
      throw isOfConnection(error) ? unreachable(error) : error;
    }
  }
}

/** Whether it is the connection that failed, or could not be had: servers say what they refuse, and themselves say that they stop. */
function isOfConnection(error: unknown): boolean {
  if (error instanceof pg.DatabaseError) return false;
  return error instanceof Error && !(error instanceof TypeError || error instanceof RangeError);
}

function unreachable(cause: unknown): TritforgeError {
  return new TritforgeError('SERVICE_UNAVAILABLE', 'The database of the service cannot be reached', {
    remediation: 'Send the request again after the seconds that Retry-After names.',
    cause,
  });
}
