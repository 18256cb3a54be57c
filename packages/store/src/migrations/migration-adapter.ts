import { randomUUID } from 'node:crypto';
import { PrismaPg } from '@prisma/adapter-pg';
import {
  ColumnTypeEnum,
  type SqlDriverAdapter,
  type SqlMigrationAwareDriverAdapterFactory,
  type SqlResultSet,
} from '@prisma/driver-adapter-utils';
import pg from 'pg';
import { withAdminClient } from './database-creation.js';

// adapter-pg 7.10 serves the schema engine only with three repairs, each marked below.

const OID_CHAR = 18;
const OID_TEXT = 25;

/** Columns of type "char" in a result, by its rows: catalog queries return them and adapter-pg has no mapping. */
const charColumns = new WeakMap<object, number[]>();

interface RawResult {
  fields?: { dataTypeID: number }[];
  rows?: object[];
}

function disguiseCharColumns(result: RawResult): RawResult {
  const { fields, rows } = result;
  if (!fields || !rows) return result;
  const columns = [...fields.keys()].filter((index) => fields[index]?.dataTypeID === OID_CHAR);
  for (const index of columns) fields[index]!.dataTypeID = OID_TEXT;
  if (columns.length > 0) charColumns.set(rows, columns);
  return result;
}

/** Repair 1a: "char" passes through adapter-pg as text. */
class CatalogClient extends pg.Client {
  constructor(config?: string | pg.ClientConfig) {
    super(config);
    const query = this.query.bind(this) as (...args: unknown[]) => unknown;
    const disguised = (...args: unknown[]): unknown => {
      const callback = args.at(-1);
      if (typeof callback === 'function') {
        args[args.length - 1] = (error: unknown, result: RawResult) =>
          callback(error, result && disguiseCharColumns(result));
        return query(...args);
      }
      const result = query(...args);
      return result instanceof Promise ? result.then(disguiseCharColumns) : result;
    };
    Object.assign(this, { query: disguised });
  }
}

/** Repair 1b: and leaves it with the type that the engine expects. */
function restoreCharColumns(adapter: SqlDriverAdapter): void {
  const queryRaw = adapter.queryRaw.bind(adapter);
  adapter.queryRaw = async (query): Promise<SqlResultSet> => {
    const result = await queryRaw(query);
    for (const index of charColumns.get(result.rows) ?? []) result.columnTypes[index] = ColumnTypeEnum.Character;
    return result;
  };
}

/** What the schema engine connects through; `close` ends its sessions, which the engine leaves open. */
export interface MigrationConnections {
  readonly factory: SqlMigrationAwareDriverAdapterFactory;
  close(): Promise<void>;
}

/** Prepares connections to one database and to temporary ones beside it. */
export function migrationConnections(databaseUrl: string): MigrationConnections {
  const open = new Map<pg.Pool, () => Promise<unknown>>();
  const end = async (pool: pg.Pool): Promise<void> => {
    const afterwards = open.get(pool);
    if (!afterwards) return;
    open.delete(pool);
    await pool.end();
    await afterwards();
  };
  const connect = async (url: string, afterwards: () => Promise<unknown>): Promise<SqlDriverAdapter> => {
    // One session, so that it is the one that holds the engine's advisory lock.
    const pool = new pg.Pool({ connectionString: url, max: 1, idleTimeoutMillis: 0, Client: CatalogClient });
    open.set(pool, afterwards);
    const adapter = await new PrismaPg(pool).connect();
    restoreCharColumns(adapter);
    // Repair 2: the stock method splits the script at every ';', which breaks function bodies, and is not atomic.
    adapter.executeScript = async (script) => {
      await pool.query(script);
    };
    adapter.dispose = () => end(pool);
    return adapter;
  };
  // Repair 3: the stock method opens the real database when it is configured by a connection string.
  const connectToShadowDb = async (): Promise<SqlDriverAdapter> => {
    const name = `prisma_shadow_${randomUUID().replaceAll('-', '')}`;
    await withAdminClient(databaseUrl, (client) => client.query(`CREATE DATABASE "${name}"`));
    const shadowUrl = new URL(databaseUrl);
    shadowUrl.pathname = `/${name}`;
    return connect(shadowUrl.href, () =>
      withAdminClient(databaseUrl, (client) => client.query(`DROP DATABASE "${name}" WITH (FORCE)`)),
    );
  };
  return {
    factory: {
      provider: 'postgres',
      adapterName: '@prisma/adapter-pg',
      connect: () => connect(databaseUrl, async () => {}),
      connectToShadowDb,
    },
    close: async () => {
      await Promise.all([...open.keys()].map(end));
    },
  };
}
