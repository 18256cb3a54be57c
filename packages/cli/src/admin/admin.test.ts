import assert from 'node:assert/strict';
import { chmodSync, mkdirSync } from 'node:fs';
import { after, before, test } from 'node:test';
import {
  DEFAULT_PROJECT_ID,
  deployMigrations,
  type EmbeddedPostgres,
  openAccess,
  startEmbeddedPostgres,
} from '@tritforge/store';
import { folder, newPath, tritforge } from '../testing/run-cli.js';

// The server runs as another user when the tests run as root, and must reach its files.
chmodSync(folder, 0o755);
const dataDir = newPath();
let postgres: EmbeddedPostgres;
before(async () => {
  mkdirSync(dataDir);
  postgres = await startEmbeddedPostgres({ dataDir: `${dataDir}/postgres`, ephemeral: true });
  process.env.TRITFORGE_DATA_DIR = dataDir;
  delete process.env.DATABASE_URL;
});
after(() => postgres.destroy());

async function admin(...args: string[]) {
  const run = await tritforge('admin', ...args);
  assert.equal(run.exitCode, 0, run.stderr);
  return run;
}

test('projects and keys are made, listed and revoked, in the database of a service that runs', async () => {
  await admin('create-project', 'vision');
  assert.match((await admin('projects')).stdout, /^default +prj_0{26} .*\nvision +prj_/m);
  const made = await admin('create-key', 'nightly run', '--project', 'vision', '--role', 'viewer', '--expires', '90d');
  const secret = made.stdout.trim();
  assert.match(secret, /^tf_[\w-]{43}$/);
  assert.match(made.stderr, /shown once/);
  await deployMigrations(postgres.databaseUrl('tritforge'));
  const access = await openAccess(postgres.databaseUrl('tritforge'));
  try {
    const known = await access.keys.authenticate(secret);
    assert.equal((await access.projects.byId(known!.projectId)).name, 'vision');
    assert.deepEqual(known?.key.scopes, ['models:read', 'datasets:read', 'jobs:read', 'artifacts:read']);
    assert.ok(Math.abs(Date.parse(known!.key.expiresAt!) - Date.now() - 90 * 86_400_000) < 60_000);
    const { stdout } = await admin('keys', '--project', 'vision');
    assert.match(stdout, new RegExp(`^nightly run +${known!.key.id} +vision +${secret.slice(0, 9)} .* until 20`, 'm'));
    assert.ok(!stdout.includes(secret));
    assert.match((await admin('revoke-key', known!.key.id)).stdout, /has been revoked since 20/);
    assert.equal(await access.keys.authenticate(secret), null);
    const { stdout: log } = await admin('audit');
    assert.match(log, /admin\.revoke-key .*\n.*admin\.create-key .*\n.*admin\.create-project +vision/);
  } finally {
    await access.close();
  }
});

test('a key can have rights of its own, and everything can be JSON', async () => {
  const { stdout } = await admin('create-key', 'ci', '--scope', 'jobs:write', '--scope', 'jobs:read', '--json');
  const { key, project, secret } = JSON.parse(stdout);
  assert.deepEqual(key.scopes, ['jobs:write', 'jobs:read']);
  assert.equal(project.id, DEFAULT_PROJECT_ID);
  assert.ok(secret.startsWith(key.prefix));
  const listed = JSON.parse((await admin('keys', '--json')).stdout);
  assert.ok(listed.some((known: { key: { id: string } }) => known.key.id === key.id));
  assert.ok(!JSON.stringify(listed).includes(secret));
});

const WRONG: [args: string[], message: RegExp][] = [
  [['create-key', 'x', '--scope', 'models:eat'], /models:eat.*models:read/s],
  [['create-key', 'x', '--role', 'king'], /viewer, developer, admin/],
  [['create-key', 'x', '--role', 'admin', '--scope', 'jobs:read'], /cannot be used with/],
  [['create-key', 'x', '--expires', 'tomorrow'], /90d/],
  [['create-key', 'x', '--expires', '2020-01-01'], /future/],
  [['create-key', 'x', '--project', 'nobody'], /PROJECT_NOT_FOUND/],
  [['create-project', 'Not A Name'], /USAGE_INVALID/],
  [['create-project', 'default'], /PROJECT_EXISTS/],
  [['revoke-key', 'key_x'], /KEY_NOT_FOUND/],
  [['dance'], /unknown command/],
];
for (const [args, message] of WRONG) {
  test(`admin ${args.join(' ')} says what is wrong`, async () => {
    const run = await tritforge('admin', ...args);
    assert.equal(run.exitCode, 2, run.stderr);
    assert.match(run.stderr, message);
  });
}

test('a folder without a service is named, and stays as it is', async () => {
  const elsewhere = newPath();
  process.env.TRITFORGE_DATA_DIR = elsewhere;
  try {
    const { exitCode, stderr } = await tritforge('admin', 'projects');
    assert.equal(exitCode, 2);
    assert.ok(stderr.includes(elsewhere));
  } finally {
    process.env.TRITFORGE_DATA_DIR = dataDir;
  }
});
