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
 * @throws TritforgeError USAGE_INVALID; it repeats neither the key nor an address, which may hold a password
 */
export async function connect({ server, keyFile, retryFor }: ConnectionFlags): Promise<TritforgeClient> {
  if (!isAddress(server)) throw notAnAddress();
  const apiKey = keyFile === undefined ? process.env.TRITFORGE_API_KEY || undefined : await readKey(keyFile);
  if (apiKey !== undefined && !/^[\x21-\x7e]+$/.test(apiKey)) throw notAKey(keyFile ?? 'TRITFORGE_API_KEY');
  return new TritforgeClient({ url: server, apiKey, retryMs: retryFor });
}

function isAddress(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, username, password, search, hash } = new URL(text);
  return /^https?:$/.test(protocol) && `${username}${password}${search}${hash}` === '';
}

function notAnAddress(): TritforgeError {
  return new TritforgeError('USAGE_INVALID', '--server or TRITFORGE_SERVER is no address of a service.', {
    remediation: 'Give one such as https://tritforge.example, without user, password and query.',
  });
}

async function readKey(path: string): Promise<string> {
  return (await readFile(await inputFile(path, 'USAGE_INVALID'), 'utf8')).trim();
}

function notAKey(place: string): TritforgeError {
  return new TritforgeError('USAGE_INVALID', `${place} holds no API key.`, {
    remediation: 'Give the secret that `tritforge admin create-key` printed, tf_…, and nothing else.',
  });
}
