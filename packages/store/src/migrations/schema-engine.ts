import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { bindMigrationAwareSqlAdapterFactory } from '@prisma/driver-adapter-utils';
import type * as EngineModule from '@prisma/schema-engine-wasm/schema_engine_bg';
import { migrationConnections } from './migration-adapter.js';
import { MIGRATIONS_DIR, PRISMA_DIR, readMigrations } from './migration-files.js';

/** Nothing in the database is left out of comparisons. */
const FILTERS: EngineModule.SchemaFilter = { externalTables: [], externalEnums: [] };

// The compiler knows WebAssembly only together with browser types.
type WasmExports = Record<string, unknown>;
const { WebAssembly: wasm } = globalThis as unknown as {
  WebAssembly: {
    instantiate(bytes: Uint8Array, imports: Record<string, object>): Promise<{ instance: { exports: WasmExports } }>;
  };
};

let loaded: Promise<typeof EngineModule> | undefined;

/** The engine never clears the timeout of its advisory lock, which would keep the process for ten seconds. */
function withoutLingeringTimers(bindings: object): object {
  const imports: Record<string, unknown> = { ...bindings };
  for (const name of Object.keys(imports).filter((key) => key.startsWith('__wbg_setTimeout_'))) {
    imports[name] = (callback: () => void, delayMs: number) => setTimeout(callback, delayMs >>> 0).unref();
  }
  return imports;
}

/** Instantiates the engine. Its own entry point imports a .wasm file, which not every supported Node can. */
async function loadEngine(): Promise<typeof EngineModule> {
  const entry = createRequire(import.meta.url).resolve('@prisma/schema-engine-wasm/schema_engine_bg');
  const bindings = (await import(pathToFileURL(entry).href)) as typeof EngineModule & {
    __wbg_set_wasm(exports: WasmExports): void;
  };
  const bytes = await readFile(path.join(path.dirname(entry), 'schema_engine_bg.wasm'));
  const imports = { './schema_engine_bg.js': withoutLingeringTimers(bindings) };
  const { instance } = await wasm.instantiate(bytes, imports);
  Object.assign(globalThis, {
    PRISMA_WASM_PANIC_REGISTRY: {
      set_message(message: string) {
        throw new Error(`The schema engine failed: ${message}`);
      },
    },
  });
  bindings.__wbg_set_wasm(instance.exports);
  (instance.exports.__wbindgen_start as () => void)();
  return bindings;
}

/** Prisma's schema engine on one database, without the native binary that `prisma migrate` needs. */
export interface SchemaEngine {
  /** Applies what is missing; returns the names of the migrations that were applied. */
  deploy(): Promise<string[]>;
  /** Compares the ledger of the database with the folder. */
  status(): Promise<EngineModule.DiagnoseMigrationHistoryOutput>;
  /** The SQL that leads from the migrations to the schema; empty when they agree. Uses a temporary database. */
  diff(): Promise<string>;
  /** Why a new migration cannot be made by the schema alone, or null; and what data it would cost. */
  diagnose(): Promise<{ reset: string | null; losses: string[] }>;
  /** The next migration: a name with a timestamp, and its SQL (null when there is nothing to do). */
  draft(name: string): Promise<{ name: string; script: string | null }>;
}

async function migrationList(): Promise<EngineModule.MigrationList> {
  const migrations = await readMigrations();
  return {
    baseDir: MIGRATIONS_DIR,
    lockfile: { path: 'migration_lock.toml', content: 'provider = "postgresql"\n' },
    shadowDbInitScript: '',
    migrationDirectories: migrations.map(({ name, script }) => ({
      path: name,
      migrationFile: { path: 'migration.sql', content: { tag: 'ok', value: script } },
    })),
  };
}

/** Opens the engine, runs `work` and disconnects it. */
export async function withSchemaEngine<T>(databaseUrl: string, work: (engine: SchemaEngine) => Promise<T>): Promise<T> {
  loaded ??= loadEngine();
  const { SchemaEngine: Engine } = await loaded;
  const schemaPath = path.join(PRISMA_DIR, 'schema.prisma');
  const content = await readFile(schemaPath, 'utf8');
  const schema = { files: [{ path: schemaPath, content }] };
  const migrationsList = await migrationList();
  const connections = migrationConnections(databaseUrl);
  try {
    const adapter = bindMigrationAwareSqlAdapterFactory(connections.factory);
    const engine = await Engine.new({ datamodels: [[schemaPath, content]] }, () => {}, adapter);
    return await work({
      deploy: async () => (await engine.applyMigrations({ migrationsList, filters: FILTERS })).appliedMigrationNames,
      status: () => engine.diagnoseMigrationHistory({ migrationsList, optInToShadowDatabase: false, filters: FILTERS }),
      diff: async () => {
        const from = { tag: 'migrations' as const, ...migrationsList };
        const to = { tag: 'schemaDatamodel' as const, ...schema };
        const { exitCode, stdout } = await engine.diff({ from, to, script: true, exitCode: true, filters: FILTERS });
        return exitCode === 0 ? '' : (stdout ?? '');
      },
      diagnose: async () => {
        const { action } = await engine.devDiagnostic({ migrationsList, filters: FILTERS });
        if (action.tag === 'reset') return { reset: action.reason, losses: [] };
        const loss = await engine.evaluateDataLoss({ migrationsList, schema, filters: FILTERS });
        return { reset: null, losses: [...loss.unexecutableSteps, ...loss.warnings].map((step) => step.message) };
      },
      draft: async (migrationName) => {
        const request = { draft: false, migrationName, migrationsList, schema, filters: FILTERS };
        const { generatedMigrationName, migrationScript } = await engine.createMigration(request);
        return { name: generatedMigrationName, script: migrationScript };
      },
    });
  } finally {
    await connections.close();
  }
}
