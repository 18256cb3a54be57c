import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { ROLES } from '@tritforge/contracts';
import { withClient } from '../migrations/database-creation.js';
import { DEFAULT_PROJECT_ID } from '../repositories/reach.js';
import { openTestStore, type TestStore } from '../testing/index.js';

describe('projects and keys', () => {
  let service: TestStore;
  before(async () => {
    service = await openTestStore();
  });
  after(() => service.close());

  it('begin with a project of the name default', async () => {
    const { id } = await service.store.projects.byName('default');
    assert.equal(id, DEFAULT_PROJECT_ID);
  });

  it('are made once for a name', async () => {
    const { projects } = service.store;
    const made = await projects.create('vision-team');
    assert.deepEqual(await projects.byName('vision-team'), made);
    await assert.rejects(projects.create('vision-team'), { code: 'PROJECT_EXISTS' });
    assert.deepEqual(
      (await projects.list()).map(({ name }) => name),
      ['default', 'vision-team'],
    );
    await assert.rejects(projects.byName('audio-team'), { code: 'PROJECT_NOT_FOUND' });
  });

  it('have names that can stand in a host name', async () => {
    const { projects } = service.store;
    for (const name of ['', '-x', 'x-', 'Vision', 'a b', 'a'.repeat(64), 'x\0'])
      await assert.rejects(projects.create(name), { code: 'USAGE_INVALID' }, name);
  });

  it('know a key by its secret, which the database does not have', async () => {
    const { keys } = service.store;
    const scopes = ROLES.viewer;
    const { key, secret } = await keys.create({ projectId: DEFAULT_PROJECT_ID, name: 'nightly', scopes });
    assert.match(secret, /^tf_[\w-]{43}$/);
    assert.ok(secret.startsWith(key.prefix) && key.prefix.length < 12);
    assert.equal(key.lastUsedAt, null);
    const known = await keys.authenticate(secret);
    assert.equal(known?.key.id, key.id);
    assert.equal(known?.projectId, DEFAULT_PROJECT_ID);
    assert.deepEqual(known?.key.scopes, scopes);
    const rows = await withClient(service.databaseUrl, (client) => client.query('SELECT * FROM api_keys'));
    assert.ok(!JSON.stringify(rows.rows).includes(secret.slice(key.prefix.length)));
  });

  it('note when a key was used', async () => {
    const { keys } = service.store;
    const { key, secret } = await keys.create({ projectId: DEFAULT_PROJECT_ID, name: 'used', scopes: [] });
    await keys.authenticate(secret);
    const { lastUsedAt } = (await keys.list()).find((known) => known.key.id === key.id)!.key;
    assert.ok(Date.now() - Date.parse(lastUsedAt!) < 2 * 60_000);
  });

  it('do not know what is no key, what was revoked and what has expired', async () => {
    const { keys } = service.store;
    const make = (expiresAt: Date | null) =>
      keys.create({ projectId: DEFAULT_PROJECT_ID, name: 'short', scopes: ROLES.admin, expiresAt });
    const [revoked, expired, lasting] = [
      await make(null),
      await make(new Date(Date.now() - 1)),
      await make(new Date(Date.now() + 60_000)),
    ];
    const { revokedAt } = (await keys.revoke(revoked.key.id)).key;
    assert.equal((await keys.revoke(revoked.key.id)).key.revokedAt, revokedAt);
    for (const secret of [
      '',
      'tf_',
      `${lasting.secret}x`,
      lasting.secret.toUpperCase(),
      revoked.secret,
      expired.secret,
    ])
      assert.equal(await keys.authenticate(secret), null, secret);
    assert.notEqual(await keys.authenticate(lasting.secret), null);
    await assert.rejects(keys.revoke('key_00000000000000000000000000'), { code: 'KEY_NOT_FOUND' });
  });

  it('list the keys of a project, newest first', async () => {
    const { keys, projects } = service.store;
    const { id: projectId } = await projects.create('listed');
    for (const name of ['first', 'second']) await keys.create({ projectId, name, scopes: [] });
    assert.deepEqual(
      (await keys.list(projectId)).map(({ key, project }) => [key.name, project.name]),
      [
        ['second', 'listed'],
        ['first', 'listed'],
      ],
    );
  });
});
