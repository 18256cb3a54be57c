/** Entry point of `tritforge`: what was typed, to an exit code. */
import { EXIT, exitCodeOf } from './exit-code.js';
import { listenForInterruption } from './interruption.js';
import { printError } from './output/print-error.js';
import { buildProgram } from './program.js';

// Whoever reads our output may stop reading, as `head` does.
process.stdout.on('error', () => process.exit(EXIT.done));

const asJson = process.argv.includes('--json');
const interruption = listenForInterruption();
try {
  await buildProgram({ signal: interruption.signal, settleFirst: interruption.settleFirst, asJson }).parseAsync();
} catch (error) {
  if (interruption.exitCode === null) printError(error, asJson);
  process.exitCode = interruption.exitCode ?? exitCodeOf(error);
}
