import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AcceptedJob } from '../pipeline/ledger.js';
import { type JobRow, jobFaults } from './jobs.js';

const JOB: AcceptedJob = {
  id: 'job_1',
  task: 'form',
  work: 'int8 of the example',
  endedAs: 'succeeded',
  deletion: 'none',
};
const ROW: JobRow = {
  id: 'job_1',
  state: 'succeeded',
  code: null,
  attempts: 1,
  isClaimed: false,
  ends: 1,
  lastState: 'succeeded',
  artifacts: 1,
  reports: 1,
};
const FAILED = { state: 'failed', lastState: 'failed', artifacts: 0, reports: 0 } as const;

test('a job that succeeded once is well, and so is one that a failure of the service ended', () => {
  assert.deepEqual(jobFaults(JOB, ROW), []);
  const crashed: AcceptedJob = { ...JOB, endedAs: 'failed' };
  assert.deepEqual(jobFaults(crashed, { ...ROW, ...FAILED, code: 'JOB_CRASHED' }), []);
  const gated: AcceptedJob = { ...crashed, task: 'gated' };
  const byGate = { state: 'failed', lastState: 'failed', code: 'GATE_FAILED' } as const;
  assert.deepEqual(jobFaults(gated, { ...ROW, ...byGate }), []);
  assert.deepEqual(jobFaults({ ...JOB, deletion: 'done' }, undefined), []);
});

test('each thing that must not be is told', () => {
  const cases: [job: Partial<AcceptedJob>, row: Partial<JobRow> | null, told: RegExp][] = [
    [{}, null, /is lost/],
    [{ deletion: 'done' }, {}, /there after it was deleted/],
    [{}, { ends: 2 }, /ended 2 times/],
    [{}, { lastState: 'running' }, /by its log running/],
    [{ endedAs: 'canceled' }, {}, /was canceled when its client saw it end/],
    [{ endedAs: null }, { state: 'running', lastState: 'running', ends: 0, artifacts: 0, reports: 0 }, /has not ended/],
    [{}, { isClaimed: true }, /claim or the lease/],
    [{}, { artifacts: 2 }, /2 artifacts in place of 1/],
    [{}, { reports: 0 }, /0 reports in place of 1/],
    [{ endedAs: 'failed' }, { ...FAILED, code: 'MODEL_TRUNCATED' }, /blames its sender/],
    [{ endedAs: 'failed' }, { ...FAILED, code: 'GATE_FAILED' }, /blames its sender/],
    [{ endedAs: 'expired' }, { ...FAILED, state: 'expired', lastState: 'expired' }, /ended as expired/],
  ];
  for (const [job, row, told] of cases) {
    const faults = jobFaults({ ...JOB, ...job }, row === null ? undefined : { ...ROW, ...row });
    assert.match(faults.join('; '), told);
  }
});
