/** Entry point of the API process: settings from the environment, then listen until a signal ends it. */
import { deployMigrations, logOptions, openStore, storeConfigOf, withoutSecrets } from '@tritforge/store';
import { startTelemetry } from '@tritforge/telemetry';
import { pino } from 'pino';
import { buildApp } from './app.js';
import { childInspector } from './child-inspector.js';
import { type ApiConfig, readConfig } from './config.js';
import { scratchDirOf, sweepScratch } from './uploads/scratch.js';
import { VERSION } from './version.js';

const SCRATCH_MAX_AGE_MS = 24 * 3600 * 1000;
/** Between two looks, while the service closes, for connections whose last request has been answered. */
const IDLE_CHECK_MS = 50;

async function serve(config: ApiConfig): Promise<void> {
  const storeConfig = storeConfigOf(config);
  const logger = pino(logOptions(config, 'api'));
  const telemetry = await startTelemetry(config, {
    serviceName: 'tritforge-api',
    version: VERSION,
    onProblem: (message, error) => logger.warn({ err: error }, message),
  });
  await deployMigrations(storeConfig.databaseUrl);
  const store = await openStore(storeConfig);
  await sweepScratch(scratchDirOf(config), SCRATCH_MAX_AGE_MS);
  const app = await buildApp({ store, inspector: childInspector(config), config }, { logger, telemetry });
  await app.listen({ host: config.host, port: config.port });

  let isClosing = false;
  const close = async (reason: string) => {
    if (isClosing) process.exit(1);
    isClosing = true;
    app.log.info({ reason }, 'closing');
    setTimeout(() => app.server.closeAllConnections(), config.shutdownSeconds * 1000).unref();
    setInterval(() => app.server.closeIdleConnections(), IDLE_CHECK_MS).unref();
    await app.close();
    await store.close();
    await telemetry.close();
    process.exit(0);
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => void close(signal));
  // Whoever started this process with a channel is gone.
  process.on('disconnect', () => void close('disconnect'));
}

try {
  await serve(readConfig(process.env));
} catch (error) {
  const why = error instanceof Error ? error.message : error;
  process.stderr.write(withoutSecrets(`The API cannot start: ${why}\n`));
  process.exit(1);
}
