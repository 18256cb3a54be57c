/**
 * One service per data folder: the second would stop the database of the first when it ends. The lock is a file that
 * names its owner, so that what a killed owner left behind is recognized.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** Takes the lock. `release` gives it back. @throws Error that names the service which has it */
export function lockDataDir(dataDir, url) {
  const file = path.join(dataDir, 'service.lock');
  for (;;) {
    try {
      writeFileSync(file, `${JSON.stringify({ pid: process.pid, url })}\n`, { flag: 'wx' });
      return { release: () => rmSync(file, { force: true }) };
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
      const owner = readOwner(file);
      if (owner && isService(owner.pid)) {
        throw new Error(
          `A service with the data in ${dataDir} runs already: ${owner.url}, process ${owner.pid}. ` +
            'Stop it, or set TRITFORGE_DATA_DIR to another folder for a second one.',
        );
      }
      rmSync(file, { force: true });
    }
  }
}

function readOwner(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return null;
  }
}

/** Whether the process lives; where there is /proc, also that it is no other program that got the number since. */
function isService(pid) {
  if (pid === process.pid) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if (error.code !== 'EPERM') return false;
  }
  if (process.platform !== 'linux') return true;
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('scripts/');
  } catch {
    return false;
  }
}
