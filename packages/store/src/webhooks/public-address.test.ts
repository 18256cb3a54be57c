import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import { isPublicAddress, lookupPublic } from './public-address.js';

const PRIVATE = [
  '127.0.0.1',
  '127.255.255.254',
  '127.1',
  '0177.0.0.1',
  '0x7f000001',
  '2130706433',
  '127.0.0.1.',
  '0.0.0.0',
  '10.0.0.1',
  '172.16.0.1',
  '172.31.255.255',
  '192.168.1.1',
  '169.254.169.254',
  '100.64.0.1',
  '100.100.100.200',
  '168.63.129.16',
  '192.0.0.1',
  '192.0.0.192',
  '192.0.2.1',
  '192.88.99.1',
  '198.18.0.1',
  '198.51.100.1',
  '203.0.113.1',
  '224.0.0.1',
  '240.0.0.1',
  '255.255.255.255',
  '::',
  '::1',
  '0:0:0:0:0:0:0:1',
  '::1%lo',
  '::7f00:1',
  '::127.0.0.1',
  '::169.254.169.254',
  'fe80::1',
  'fe80::1%eth0',
  'fec0::1',
  'fc00::1',
  'fd12:3456:789a::1',
  'fd00:ec2::254',
  'ff02::1',
  'ff0e::1',
  '::ffff:127.0.0.1',
  '::ffff:10.0.0.1',
  '::ffff:a9fe:a9fe',
  '0:0:0:0:0:FFFF:7F00:1',
  '::ffff:0:7f00:1',
  '::ffff:168.63.129.16',
  '64:ff9b::7f00:1',
  '64:ff9b::169.254.169.254',
  '64:ff9b:1::a00:1',
  '2002:7f00:1::',
  '2002:a9fe:a9fe::1',
  '2001:db8::1',
  '2001::1',
  '2001:0:a9fe:a9fe::1',
  '3fff::1',
  '100::1',
  '5f00::1',
  '4000::1',
  '2606:4700:4700::1111%eth0',
  'not an address',
  '',
];

for (const address of PRIVATE)
  test(`${address || 'nothing'} is no public address`, () => assert.equal(isPublicAddress(address), false));

for (const address of ['1.1.1.1', '93.184.216.34', '2606:4700:4700::1111', '::ffff:8.8.8.8'])
  test(`${address} is a public address`, () => assert.equal(isPublicAddress(address), true));

test('a connection to a name of this machine is refused before it is made', async () => {
  const error = await new Promise<Error>((resolve) => {
    connect({ host: 'localhost', port: 1, lookup: lookupPublic }).on('error', resolve);
  });
  assert.match(error.message, /^localhost is (127\.0\.0\.1|::1), which is not a public address$/);
});
