/** Of what the database client throws when a connection cannot be had or breaks, by its code. */
const CLIENT_CODES = new Set(['P1001', 'P1002', 'P1017', 'P2024', 'P2028']);
/** The same of queries that were written as SQL, whose code says no more than that they failed: what their driver calls it. */
const DRIVER_KINDS = new Set(['ConnectionClosed', 'DatabaseNotReachable', 'SocketTimeout', 'TooManyConnections']);
/** What PostgreSQL itself says: SQLSTATE class 08, that it has too many connections, and that it stops, has crashed or starts. */
const SQL_STATES = /^(08|53300|57P0[123])/;
/** What the driver says without a code. */
const DRIVER_MESSAGES =
  /^(Connection terminated|Client has encountered a connection error|timeout exceeded when trying to connect)/;

/**
 * Whether an error says that the database could not be reached, or was gone before it answered: what was asked of it may have been done or
 * not, and the same request may succeed later.
 */
export function isDatabaseGone(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const { code = '', meta } = error as ClientError;
  const { kind = '', originalCode = '' } = meta?.driverAdapterError?.cause ?? {};
  return (
    CLIENT_CODES.has(code) ||
    DRIVER_KINDS.has(kind) ||
    [code, originalCode].some((state) => SQL_STATES.test(state)) ||
    DRIVER_MESSAGES.test(error.message)
  );
}

/** What of the errors of the client and of its driver matters here. */
interface ClientError extends Error {
  readonly code?: string;
  readonly meta?: {
    readonly driverAdapterError?: { readonly cause?: { readonly kind?: string; readonly originalCode?: string } };
  };
}
