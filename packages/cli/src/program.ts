/** The commands and their flags. Start reading here. */
import { readFileSync } from 'node:fs';
import { versions } from '@tritforge/quant-core/versions';
import { Command, CommanderError, Option } from 'commander';
import { addAdmin } from './admin/admin-program.js';
import type { CommandContext } from './command-context.js';
import { evaluateCommand } from './commands/evaluate.js';
import { inspectCommand } from './commands/inspect.js';
import { quantizeCommand } from './commands/quantize.js';
import {
  withData,
  withFineTuning,
  withGates,
  withLimits,
  withNce,
  withRecipe,
  withSearch,
  withThreads,
} from './flag-groups.js';
import { naturalNumber } from './flags.js';
import { versionText } from './output/version-text.js';
import { addRemote } from './remote/remote-program.js';

const VERSION: string = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')).version;

const EXIT_CODES = `
Exit codes:
  0 done   1 internal error   2 wrong usage, bad input or refused by the service   3 a gate failed
  4 the work failed (time, memory, crash; of a service: the job failed or expired)
  5 the service cannot be reached   6 the job was canceled   7 the time to wait is over   130 interrupted`;

/** Builds the command line. Wrong usage throws a CommanderError after its message is written. */
export function buildProgram(context: CommandContext): Command {
  const program = new Command('tritforge')
    .description('Makes ONNX models smaller and faster, and measures what that costs.')
    .option('-V, --version', 'print versions and which kernels are in use')
    .on('option:version', () => {
      process.stdout.write(versionText(VERSION, versions()));
      throw new CommanderError(0, 'commander.version', VERSION);
    })
    .addHelpText('after', EXIT_CODES)
    .configureOutput({ writeErr: (text) => void (context.asJson || process.stderr.write(text)) })
    .exitOverride()
    .showHelpAfterError('See `tritforge --help`.');
  addInspect(program, context);
  addQuantize(program, context);
  addEvaluate(program, context);
  addRemote(program, context);
  addAdmin(program, context);
  return program;
}

function addInspect(program: Command, context: CommandContext): void {
  const command = program.command('inspect').argument('<model>', 'the .onnx file');
  withLimits(command)
    .description('Show what is in a model and which of its layers can be quantized.')
    .addHelpText('after', '\nExample:\n  tritforge inspect model.onnx')
    .action((model, flags) => inspectCommand(model, flags, context));
}

const QUANTIZE_EXAMPLES = `
Examples:
  tritforge quantize model.onnx --out out --calibration train.npz --evaluation test.npz
  tritforge quantize model.onnx --out out --recipe int8 --calibration images.zip --preprocess preprocess.json
  tritforge quantize model.onnx --out out --calibration few.npz --training many.npz --fine-tune 30
  tritforge quantize model.onnx --out out --recipe nce --calibration few.npz --training many.npz --nce-minutes 60
  tritforge quantize model.onnx --out out --group-size 4 --layer '/head/*=int8' --activation-bits none`;

function addQuantize(program: Command, context: CommandContext): void {
  const command = program
    .command('quantize')
    .argument('<model>', 'the .onnx file')
    .requiredOption('-o, --out <dir>', 'folder for the artifacts and the report (.json and .html); made when missing')
    .option('--solver-threads <n>', 'threads that layers are solved on (default: one per core)', naturalNumber);
  withLimits(withGates(withSearch(withNce(withFineTuning(withThreads(withData(withRecipe(command), 'optional')))))))
    .description('Quantize a model, verify the result and measure it.')
    .addHelpText('after', QUANTIZE_EXAMPLES)
    .action((model, flags) => quantizeCommand(model, flags, context));
}

const EVALUATE_EXAMPLE = `
Examples:
  tritforge evaluate model.onnx --evaluation test.zip --preprocess preprocess.json --metric top1
  tritforge evaluate model.fgq-n64.accelerated.onnx --evaluation test.npz --engine tritforge`;

function addEvaluate(program: Command, context: CommandContext): void {
  const command = program.command('evaluate').argument('<model>', 'the .onnx file');
  withLimits(withThreads(withData(command, 'mandatory')))
    .addOption(
      new Option('--engine <name>', "ort: stock onnxruntime; tritforge: with Tritforge's operators").choices([
        'ort',
        'tritforge',
      ]),
    )
    .description('Measure accuracy and latency of a model.')
    .addHelpText('after', EVALUATE_EXAMPLE)
    .action((model, flags) => evaluateCommand(model, flags, context));
}
