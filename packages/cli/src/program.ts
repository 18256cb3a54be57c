/** The commands and their flags. Start reading here. */
import { readFileSync } from 'node:fs';
import { FineTune, FineTuneLoss, Nce } from '@tritforge/contracts';
import { versions } from '@tritforge/quant-core/versions';
import { Command, CommanderError, Option } from 'commander';
import { addAdmin } from './admin/admin-program.js';
import type { CommandContext } from './command-context.js';
import { evaluateCommand } from './commands/evaluate.js';
import { inspectCommand } from './commands/inspect.js';
import { quantizeCommand } from './commands/quantize.js';
import {
  artifactProfile,
  byteCount,
  collect,
  durationMs,
  layerRule,
  naturalNumber,
  nonNegativeNumber,
  numberLike,
  positiveNumber,
  share,
} from './flags.js';
import { versionText } from './output/version-text.js';

const VERSION: string = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')).version;

const EXIT_CODES = `
Exit codes:
  0 done   1 internal error   2 wrong usage or bad input   3 a gate failed
  4 the work failed (time, memory, crash)   130 interrupted`;

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
  withLimits(withGates(withSearch(withNce(withFineTuning(withData(withRecipe(command), 'optional'))))))
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
  withLimits(withData(command, 'mandatory'))
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

function withRecipe(command: Command): Command {
  return command
    .option(
      '--recipe <recipe>',
      'fgq (ternary weights), int4, int8, uniform (2-bit weights and activations), nce (the same, with as many channels in each layer as a search finds best), auto (a search for precisions), or a recipe as a .json file',
      'fgq',
    )
    .option('--paper', 'FGQ exactly as published, for comparison')
    .addOption(
      new Option('--group-size <n>', 'weights that share a scale').choices(['4', '8', '16', '32', '64', '128']),
    )
    .addOption(
      new Option('--solver <name>', 'how codes are found: nearest to the weights, or to the outputs of layers').choices(
        ['exact', 'weighted', 'feedback'],
      ),
    )
    .option(
      '--residual-planes <share>',
      'share of the ternary weights, from 0 to 1, that get a second plane, where one plane does most damage',
      share,
    )
    .addOption(
      new Option(
        '--activation-bits <bits>',
        'bits of the inputs of layers; 4, 3 and 2 spare first, last and int8 layers, none quantizes weights only (default: 8, with uniform and nce 2)',
      ).choices(['8', '4', '3', '2', 'none']),
    )
    .addOption(
      new Option('--activation-range <how>', 'how the ranges of activations are chosen').choices([
        'minmax',
        'percentile',
        'mse',
        'entropy',
        'dfp',
        'auto',
      ]),
    )
    .addOption(
      new Option(
        '--activation-shortcuts <how>',
        'bits of what narrow layers and something else take in, as in residual connections: wide keeps 8 (default with 2 bits), narrow gives all the few',
      ).choices(['wide', 'narrow']),
    )
    .option(
      '--layer <glob=setting>',
      'ternary (in groups: n4 … n128 with the recipes uniform and nce), uniform, int4, int8, float, exclude, n4 … n128, p1 or p2 (planes), a2, a4 or a8 (bits of the input) for the layers named so (repeatable)',
      collect(layerRule),
    )
    .option(
      '--artifact <profile>',
      "portable (onnxruntime ≥ 1.21, the default), compat (older ones too), accelerated (faster with Tritforge's operators) or ort-nbits (onnxruntime's MatMulNBits, ≥ 1.24) (repeatable)",
      collect(artifactProfile),
    )
    .option('--equalize', 'make the channels between layers equally large first')
    .option('--sensitivity', 'measure what each layer costs at each precision, and recommend what to change')
    .option('--calibration <file>', 'samples that set the ranges of activations (.npz, .zip, .tar)');
}

/** Any of these asks for fine-tuning. */
function withFineTuning(command: Command): Command {
  const { epochs, minutes, learningRate, batch, workers, augment } = FineTune.properties;
  return command
    .option('--training <file>', 'samples to fine-tune on (labels are not used); those of --calibration when left out')
    .option(
      '--fine-tune [minutes]',
      'then train the quantized network to give the outputs of the original, for so long (10 without a number)',
      numberLike(minutes),
    )
    .option(
      '--fine-tune-epochs <n>',
      'train for so many passes instead of minutes: the same bytes every time',
      numberLike(epochs),
    )
    .addOption(
      new Option(
        '--fine-tune-loss <name>',
        'compare class probabilities, or all outputs; chosen by the outputs when left out',
      ).choices(FineTuneLoss.enum),
    )
    .option('--fine-tune-learning-rate <n>', 'at the beginning of the training', numberLike(learningRate))
    .option('--fine-tune-batch <n>', 'samples of one update (default: 64)', numberLike(batch))
    .option(
      '--fine-tune-workers <n>',
      'threads that share each batch; the result depends on their number (default: 2)',
      numberLike(workers),
    )
    .option('--fine-tune-shift <pixels>', 'move training images by up to so many', numberLike(augment.properties.shift))
    .option('--fine-tune-mirror', 'mirror every other training image left to right')
    .option('--fine-tune-mix', 'mix each training sample with another one');
}

function withNce(command: Command): Command {
  const { epochs, minutes, budgets } = Nce.properties;
  const { macs, parameters } = budgets.properties;
  return command
    .option('--nce-minutes <n>', 'with --recipe nce: time for the search (default: 30)', numberLike(minutes))
    .option(
      '--nce-epochs <n>',
      'with --recipe nce: search for so many passes instead of minutes: the same widths every time',
      numberLike(epochs),
    )
    .option(
      '--nce-max-macs <factor>',
      'with --recipe nce: multiply-accumulates at most, times those of the model (default: 1)',
      numberLike(macs.anyOf[0]),
    )
    .option(
      '--nce-max-parameters <factor>',
      'with --recipe nce: parameters at most, times those of the model (default: 1)',
      numberLike(parameters.anyOf[0]),
    );
}

function withSearch(command: Command): Command {
  return command
    .option(
      '--search-max-accuracy-drop <n>',
      'with --recipe auto: the smallest file that is not worse by more, in the unit of the metric (default: 1)',
      nonNegativeNumber,
    )
    .option('--search-max-size <size>', 'with --recipe auto: the most accurate file that is not larger', byteCount)
    .option(
      '--search-max-bits <n>',
      'with --recipe auto: the most accurate file with at most so many bits per quantized weight',
      positiveNumber,
    )
    .option(
      '--search-max-latency <ms>',
      'with --recipe auto: the most accurate network whose first artifact runs so fast here',
      positiveNumber,
    )
    .option('--search-evaluations <n>', 'networks that the search measures at most (default: 24)', naturalNumber)
    .option('--search-minutes <n>', 'time for the search, after which the best so far is taken', positiveNumber);
}

function withGates(command: Command): Command {
  return command
    .option(
      '--gate-max-accuracy-drop <n>',
      'fail when accuracy drops by more, in the unit of the metric',
      nonNegativeNumber,
    )
    .option('--gate-max-size <size>', 'fail when an artifact is larger, e.g. 2MB', byteCount)
    .option(
      '--gate-min-speedup <x>',
      'fail when the artifact is not this many times as fast as the original',
      positiveNumber,
    );
}

/** Flags of the commands that run the model on data. */
function withData(command: Command, evaluation: 'optional' | 'mandatory'): Command {
  return command
    .addOption(
      new Option(
        '--evaluation <file>',
        'samples, with labels if there are any, to measure accuracy on',
      ).makeOptionMandatory(evaluation === 'mandatory'),
    )
    .option('--preprocess <file>', 'a .json file that says how samples become the input of the model')
    .addOption(
      new Option('--metric <name>', 'chosen by the labels when left out').choices([
        'top1',
        'top5',
        'mse',
        'perplexity',
        'agreement',
      ]),
    )
    .option('--threads <n>', 'threads within one operator (default: 1)', naturalNumber);
}

function withLimits(command: Command): Command {
  return command
    .option('--memory-limit <size>', 'memory that the work may use, e.g. 4GB (default: 80 % of the machine)', byteCount)
    .option('--deadline <duration>', 'time that the work may take, e.g. 90s, 10m or 2h (default: 24h)', durationMs)
    .option('--json', 'print one JSON document instead of tables');
}
