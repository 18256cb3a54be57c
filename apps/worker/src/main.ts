/** Entry point of the worker process: settings from the environment, then jobs until a signal ends it. */
import { ENGINE_VERSION } from '@tritforge/quant-core/process';
import { deployMigrations, logOptions, openStore, storeConfigOf, withoutSecrets } from '@tritforge/store';
import { startTelemetry } from '@tritforge/telemetry';
import { pino } from 'pino';
import { readConfig, type WorkerConfig } from './config.js';
import { startWorker } from './worker.js';

async function serve(config: WorkerConfig): Promise<void> {
  const storeConfig = storeConfigOf(config);
  const logger = pino(logOptions(config, 'worker'));
  const telemetry = await startTelemetry(config, {
    serviceName: 'tritforge-worker',
    version: ENGINE_VERSION,
    onProblem: (message, error) => logger.warn({ err: error }, message),
  });
  await deployMigrations(storeConfig.databaseUrl);
  const store = await openStore({ ...storeConfig, leaseMs: config.jobLeaseSeconds * 1000 });
  const worker = await startWorker({ store, config, logger, telemetry });

  let isClosing = false;
  const close = async (reason: string) => {
    if (isClosing) process.exit(1);
    isClosing = true;
    logger.info({ reason }, 'closing');
    await worker.close();
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
  process.stderr.write(withoutSecrets(`The worker cannot start: ${why}\n`));
  process.exit(1);
}
