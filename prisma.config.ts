import { fileURLToPath } from 'node:url';
import { defineConfig } from 'prisma/config';

// Naming an engine keeps the command line from downloading one; see the file for what that means.
process.env.PRISMA_SCHEMA_ENGINE_BINARY ??= fileURLToPath(new URL('prisma/no-schema-engine.mjs', import.meta.url));

export default defineConfig({
  schema: 'prisma/schema.prisma',
  migrations: { path: 'prisma/migrations' },
});
