/**
 * Where webhooks may be sent to: public addresses. Others belong to the network of the service, which somebody who may set up a webhook could
 * look into otherwise.
 */
import { type LookupAddress, lookup } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

/** All of IPv6 that is given out to the internet. What lies beside it may be carried elsewhere, as ::7f00:1 may be to 127.0.0.1. */
const GLOBAL_UNICAST = ipaddr.IPv6.parseCIDR('2000::/3');
/** A public address by its number that every machine in Azure reaches its host by. */
const AZURE_HOST = '168.63.129.16';

/** Whether an IP address is one of the internet, in any of its spellings. */
export function isPublicAddress(address: string): boolean {
  if (isIP(address) === 0 || address.includes('%')) return false;
  // ::ffff:127.0.0.1 is 127.0.0.1.
  const plain = ipaddr.process(address);
  if (plain.range() !== 'unicast' || plain.toString() === AZURE_HOST) return false;
  return !(plain instanceof ipaddr.IPv6) || plain.match(GLOBAL_UNICAST);
}

/** An address that webhooks are not sent to. */
export class RefusedAddress extends Error {
  constructor(hostname: string, address: string) {
    super(`${hostname} is ${address}, which is not a public address`);
  }
}

/**
 * Resolves names for a connection, and refuses it when any of the addresses is not public. The connection is made to what was resolved here,
 * so a name cannot be one thing when it is checked and another when it is used.
 */
export const lookupPublic: LookupFunction = (hostname, options, callback) => {
  lookup(hostname, { ...options, all: true }, (error, found) => {
    if (error) return callback(error, '', 0);
    const addresses = found as LookupAddress[];
    const refused = addresses.find(({ address }) => !isPublicAddress(address));
    if (refused) return callback(new RefusedAddress(hostname, refused.address), '', 0);
    const [first] = addresses;
    if (options.all) return callback(null, addresses);
    return callback(null, first!.address, first!.family);
  });
};
