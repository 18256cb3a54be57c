import { readFile } from 'node:fs/promises';
import { TritforgeClient } from '@tritforge/client';
import { TritforgeError } from '@tritforge/contracts';
import { inputFile } from '../input-files.js';

/** The flags that say where the service is and who asks. */
export interface ConnectionFlags {
  readonly server: string;
  readonly keyFile?: string;
  /** Milliseconds. */
  readonly retryFor?: number;
}

/**
 * A client of the service, with the key of --key-file or else of TRITFORGE_API_KEY. Keys are no flags: command lines are seen by everybody
 * on the machine and kept in histories and logs.
 * @throws TritforgeError USAGE_INVALID; it does not repeat the key
 */
export async function connect({ server, keyFile, retryFor }: ConnectionFlags): Promise<TritforgeClient> {
  const apiKey = keyFile === undefined ? process.env.TRITFORGE_API_KEY || undefined : await readKey(keyFile);
  if (apiKey !== undefined && !/^[\x21-\x7e]+$/.test(apiKey)) throw notAKey(keyFile ?? 'TRITFORGE_API_KEY');
  return new TritforgeClient({ url: server, apiKey, retryMs: retryFor });
}

async function readKey(path: string): Promise<string> {
  return (await readFile(await inputFile(path, 'USAGE_INVALID'), 'utf8')).trim();
}

function notAKey(place: string): TritforgeError {
  return new TritforgeError('USAGE_INVALID', `${place} holds no API key.`, {
    remediation: 'Give the secret that `tritforge admin create-key` printed, tf_…, and nothing else.',
  });
}
