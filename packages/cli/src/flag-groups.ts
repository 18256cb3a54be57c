/** Flags that several commands have, by what they are about. */
import { FineTune, FineTuneLoss, Nce } from '@tritforge/contracts';
import { type Command, Option } from 'commander';
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

/** What to do with the weights and activations of a model. */
export function withRecipe(command: Command): Command {
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
export function withFineTuning(command: Command): Command {
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

/** The search for numbers of channels. */
export function withNce(command: Command): Command {
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

/** The search for precisions. */
export function withSearch(command: Command): Command {
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

/** What the result must keep to. */
export function withGates(command: Command): Command {
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
export function withData(command: Command, evaluation: 'optional' | 'mandatory'): Command {
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
    );
}

/** Threads of this machine. */
export function withThreads(command: Command): Command {
  return command.option('--threads <n>', 'threads within one operator (default: 1)', naturalNumber);
}

/** Limits of work on this machine, and the form of what is printed. */
export function withLimits(command: Command): Command {
  return command
    .option('--memory-limit <size>', 'memory that the work may use, e.g. 4GB (default: 80 % of the machine)', byteCount)
    .option('--deadline <duration>', 'time that the work may take, e.g. 90s, 10m or 2h (default: 24h)', durationMs)
    .option('--json', 'print one JSON document instead of tables');
}
