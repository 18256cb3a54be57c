import { isIP } from 'node:net';
import { TritforgeError } from '@tritforge/contracts';
import { isPublicAddress } from '@tritforge/store';
import type { ApiConfig } from '../../config.js';

/**
 * Refuses what is wrong with a URL at first sight. Names are resolved when messages are sent, and checked then.
 * @throws TritforgeError WEBHOOK_TARGET_REFUSED
 */
export function checkTarget(url: string, targets: ApiConfig['webhookTargets']): void {
  if (!URL.canParse(url)) throw refused('It is no URL.');
  const { protocol, hostname, username, password } = new URL(url);
  if (username !== '' || password !== '') throw refused('It has a user or a password in it.');
  if (targets === 'any') return;
  if (protocol !== 'https:') throw refused('It does not begin with https.');
  const address = hostname.replace(/^\[(.*)\]$/, '$1');
  if (isIP(address) !== 0 && !isPublicAddress(address)) throw refused(`${address} is not a public address.`);
  if (/(^|\.)localhost\.?$/.test(hostname)) throw refused(`${hostname} is this machine.`);
}

function refused(why: string): TritforgeError {
  return new TritforgeError('WEBHOOK_TARGET_REFUSED', `Webhooks are not sent there. ${why}`, {
    field: 'url',
    remediation: 'Send an https URL of a public address, or ask the operator about TRITFORGE_WEBHOOK_TARGETS.',
  });
}
