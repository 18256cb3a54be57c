import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { folderLabelledTar } from './images.js';

async function packed(t: TestContext, files: Readonly<Record<string, number>>) {
  const folder = await mkdtemp(path.join(tmpdir(), 'tritforge-tar-'));
  t.after(() => rm(folder, { recursive: true }));
  for (const [name, sizeBytes] of Object.entries(files)) {
    await mkdir(path.join(folder, path.dirname(name)), { recursive: true });
    await writeFile(path.join(folder, name), 'x'.repeat(sizeBytes));
  }
  const [source, target] = [path.join(folder, 'source.tar.gz'), path.join(folder, 'target.tar')];
  const tar = (...args: string[]) => execFileSync('tar', args, { cwd: folder, encoding: 'utf8' });
  tar('-czf', source, '--format=ustar', ...Object.keys(files));
  return { source, target, tar };
}

test('images in numbered folders are labelled by their folder, whatever their sizes', async (t) => {
  const files = { '0/a.jpg': 0, '3/b.jpg': 511, '3/c.jpg': 512, '10/d.jpg': 1025 };
  const { source, target, tar } = await packed(t, files);
  await folderLabelledTar(source, target);
  assert.deepEqual(tar('-tf', target).trim().split('\n'), ['labels.csv', ...Object.keys(files)]);
  assert.equal(tar('-xOf', target, 'labels.csv'), 'file,label\n0/a.jpg,0\n3/b.jpg,3\n3/c.jpg,3\n10/d.jpg,10\n');
  assert.equal(tar('-xOf', target, '10/d.jpg').length, 1025);
});

test('folders that are named by words are classes in the order of the alphabet', async (t) => {
  const files = { 'train/bird/a.jpg': 1, 'train/ant/a.jpg': 1, 'train/cat/a.jpg': 1 };
  const { source, target, tar } = await packed(t, files);
  await folderLabelledTar(source, target);
  assert.equal(
    tar('-xOf', target, 'labels.csv'),
    'file,label\ntrain/bird/a.jpg,1\ntrain/ant/a.jpg,0\ntrain/cat/a.jpg,2\n',
  );
});
