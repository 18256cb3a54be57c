/**
 * A thread of the child process that kills its process group once the parent is gone. The main thread cannot see to it:
 * it may be blocked inside onnxruntime for as long as a model likes.
 */
import { workerData } from 'node:worker_threads';

const INTERVAL_MS = 100;
const OWN_GROUP = 0;

const { parentPid } = workerData as { parentPid: number };

function check(): void {
  if (process.ppid !== parentPid) process.kill(OWN_GROUP, 'SIGKILL');
}

check();
setInterval(check, INTERVAL_MS);
