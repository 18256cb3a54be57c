import { createRequire } from 'node:module';

/** Version of the engine, as in its package. */
export const ENGINE_VERSION: string = (createRequire(import.meta.url)('../package.json') as { version: string })
  .version;
