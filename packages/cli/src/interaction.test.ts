import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { BINARY, CALIBRATION, EVALUATION, MODEL, newPath, outcomeOf, start, tritforge } from './testing/run-cli.js';

const SHOW_CURSOR = '\u001b[?25h';
const noTerminal =
  process.platform !== 'linux' || spawnSync('script', ['--version']).status !== 0 ? 'needs the command script' : false;

describe('tritforge, to whoever watches it', { concurrency: 2 }, () => {
  test('draws a progress bar on a terminal and takes it away again', { skip: noTerminal }, async () => {
    const words = [process.execPath, BINARY, 'quantize', MODEL, '--out', newPath(), ...CALIBRATION].join(' ');
    const terminal = spawn('script', ['-qec', words, '/dev/null'], { stdio: ['ignore', 'pipe', 'pipe'] });
    const { exitCode, stdout } = await outcomeOf(terminal);
    assert.equal(exitCode, 0, stdout);
    assert.match(stdout, /calibrate \[[█░]+\] \d+\/256 samples/);
    assert.doesNotMatch(stdout, /INF|NaN|undefined/);
    const [bar, table] = stdout.split(SHOW_CURSOR);
    assert.match(bar!, /samples, \d+ s left/);
    assert.match(table!, /original +int8 +fgq/);
  });

  test('searches for precisions, and takes the best so far at the first Ctrl-C', async () => {
    const out = newPath();
    const flags = [
      '--recipe',
      'auto',
      '--solver',
      'exact',
      '--search-max-accuracy-drop',
      '30',
      '--search-evaluations',
      '8',
    ];
    const { exitCode, stdout, stderr } = await tritforge(
      'quantize',
      MODEL,
      '--out',
      out,
      ...flags,
      ...CALIBRATION,
      ...EVALUATION,
    );
    assert.equal(exitCode, 0, stderr);
    assert.match(stdout, /original +int8 +auto/);
    assert.match(stdout, /^\* .* bits +drop .* within the limits/m);
    assert.match(stdout, /int8 +[\d.]+ .B +[\d.]+ bits/);
    assert.ok(existsSync(join(out, 'model.auto.portable.onnx')));
    assert.ok(existsSync(join(out, 'model.auto.report.json')));

    const early = newPath();
    const child = start('quantize', MODEL, '--out', early, '--recipe', 'auto', ...CALIBRATION, ...EVALUATION);
    const ending = outcomeOf(child);
    while (engineProcesses(child.pid!).length === 0) await sleep(10);
    child.kill('SIGINT');
    const settled = await ending;
    assert.equal(settled.exitCode, 0, settled.stderr);
    assert.match(settled.stdout, /SEARCH_ENDED_EARLY/);
  });

  test('stops at Ctrl-C with 130, its engine with it, and leaves nothing', async () => {
    const out = newPath();
    const child = start('quantize', MODEL, '--out', out, ...CALIBRATION, ...EVALUATION);
    const ending = outcomeOf(child);
    while (engineProcesses(child.pid!).length === 0) await sleep(10);
    child.kill('SIGINT');
    const { exitCode, stdout, stderr } = await ending;
    assert.deepEqual([exitCode, stdout, stderr], [130, '', '']);
    assert.deepEqual(engineProcesses(child.pid!), []);
    assert.equal(existsSync(out), false);
  });
});

/** Ids of running engine processes that were started by the process with the given id (Linux; made up elsewhere). */
function engineProcesses(parentPid: number): string[] {
  if (process.platform !== 'linux') return ['unknown'];
  return readdirSync('/proc').filter((pid) => {
    try {
      const isAlive = !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'));
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
      return (
        isAlive && command.includes(String(parentPid)) && command.some((part) => part.endsWith('/process/child.js'))
      );
    } catch {
      return false;
    }
  });
}
