#!/usr/bin/env node
// Stands in for the native schema engine, which Prisma would download. `prisma generate`, `validate` and `format` only ask
// that the file exists; commands that would need it (`prisma migrate`) must fail loudly, so this does nothing but fail.
console.error(
  'The native schema engine is not installed. Use `node scripts/migrate.mjs deploy|status|diff|dev` instead of `prisma migrate`.',
);
process.exit(1);
