import { type Command, InvalidArgumentError, Option } from 'commander';
import type { CommandContext } from '../command-context.js';
import { withData, withFineTuning, withGates, withNce, withRecipe, withSearch } from '../flag-groups.js';
import { collect, durationMs } from '../flags.js';

const SUBMIT_EXAMPLES = `
The API key is read from --key-file, or else from TRITFORGE_API_KEY.

Examples:
  export TRITFORGE_SERVER=https://tritforge.example TRITFORGE_API_KEY=tf_…
  tritforge submit model.onnx --calibration train.npz --evaluation test.npz --gate-max-accuracy-drop 1 --out out
  job=$(tritforge submit model.onnx --activation-bits none --label pipeline=nightly)
  tritforge wait $job --timeout 2h && tritforge download $job --out out`;

/** The commands that work on a service. What it takes to reach one is loaded when one of them runs. */
export function addRemote(program: Command, context: CommandContext): void {
  const commands = () => import('./commands.js');
  const ofJob = (name: string, description: string) =>
    withConnection(program.command(name).description(description)).argument('<job>', 'job_…');

  const submit = withConnection(program.command('submit').description('Start a job on a service.'));
  withGates(withSearch(withNce(withFineTuning(withData(withRecipe(submit), 'optional')))))
    .argument('<model>', 'the .onnx file, or mdl_…; data may be dst_… too')
    .option('--data <file>', 'external data of the model, beside or below it (repeatable)', collect(String))
    .option('--deadline <duration>', 'time that the job may run, e.g. 90s, 10m or 2h', durationMs)
    .option('--start-within <duration>', 'the job expires when no worker has started it by then', durationMs)
    .option('--label <key=value>', 'of the job; jobs can be listed by labels (repeatable)', collectLabel)
    .option('--idempotency-key <key>', 'starts the job once, however often it is submitted with this key in 24 hours')
    .option('--wait', 'wait for the end of the job');
  withEnd(submit, 'wait, and leave artifacts and report in this folder; made when missing')
    .addHelpText('after', SUBMIT_EXAMPLES)
    .action(async (model, flags) => (await commands()).submitCommand(model, flags, context));

  withEnd(
    ofJob('wait', 'Wait for the end of a job and print what it came to.'),
    'leave artifacts and report there too',
  ).action(async (id, flags) => (await commands()).waitCommand(id, flags, context));
  ofJob('status', 'Show how far a job is.').action(async (id, flags) =>
    (await commands()).statusCommand(id, flags, context),
  );
  ofJob('download', 'Download the artifacts and the report of a job.')
    .requiredOption('-o, --out <dir>', 'folder for them; made when missing')
    .action(async (id, flags) => (await commands()).downloadCommand(id, flags, context));
  ofJob('cancel', 'Cancel a job.').action(async (id, flags) => (await commands()).cancelCommand(id, flags, context));
}

function withConnection(command: Command): Command {
  return command
    .addOption(new Option('--server <url>', 'address of the service').env('TRITFORGE_SERVER').makeOptionMandatory())
    .option('--key-file <file>', 'file that holds the API key (default: the key in TRITFORGE_API_KEY)')
    .option(
      '--retry-for <duration>',
      'how long the service may be away before the command gives up (default: 2m, and 10m while it waits)',
      durationMs,
    )
    .option('--json', 'print one JSON document instead of words');
}

function withEnd(command: Command, out: string): Command {
  return command
    .option('-o, --out <dir>', out)
    .option('--timeout <duration>', 'stop waiting after so long; the job goes on', durationMs)
    .option('--cancel-on-interrupt', 'cancel the job at Ctrl-C while waiting for it');
}

function collectLabel(text: string, labels: Readonly<Record<string, string>> = {}): Record<string, string> {
  const end = text.indexOf('=');
  if (end < 1) throw new InvalidArgumentError('Give KEY=VALUE, such as pipeline=nightly.');
  return { ...labels, [text.slice(0, end)]: text.slice(end + 1) };
}
