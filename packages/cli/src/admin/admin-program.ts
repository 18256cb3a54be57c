import { ROLES, SCOPES } from '@tritforge/contracts';
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { CommandContext } from '../command-context.js';
import { byteCount } from '../flags.js';

const EXAMPLES = `
Works on the database of DATABASE_URL, or else on the embedded one in TRITFORGE_DATA_DIR (.data when unset), also while the
service runs.

Examples:
  tritforge admin create-project vision
  tritforge admin create-key nightly --project vision --role developer --expires 90d
  tritforge admin keys --project vision
  tritforge admin revoke-key key_01k9zq3v5w8e6r2t4y7u9i1o3p`;

/** `tritforge admin`. What it takes to reach a database is loaded when one of its commands runs. */
export function addAdmin(program: Command, context: CommandContext): void {
  const commands = () => import('./commands.js');
  const admin = program
    .command('admin')
    .description('Make projects and API keys of a service.')
    .addHelpText('after', EXAMPLES);
  const add = (name: string, description: string) =>
    admin.command(name).description(description).option('--json', 'print JSON');
  add('projects', 'List projects.').action(async () => (await commands()).listProjects(context));
  add('create-project', 'Make a project: its keys see nothing of other projects.')
    .argument('<name>', 'lower-case letters, digits and dashes')
    .option(
      '--storage <size>',
      'most bytes of its models, datasets and artifacts, e.g. 50GB (default: no limit)',
      byteCount,
    )
    .action(async (name, flags) => (await commands()).createProject(name, flags, context));
  add('keys', 'List API keys, newest first.')
    .option('--project <name>', 'those of one project')
    .action(async (flags) => (await commands()).listKeys(flags, context));
  add('create-key', 'Make an API key and print its secret, which is shown this once.')
    .argument('<name>', 'what people call it')
    .option('--project <name>', 'whose resources it reaches', 'default')
    .addOption(new Option('--role <role>', 'what it may do').choices(Object.keys(ROLES)).default('developer'))
    .addOption(
      new Option('--scope <scope>', `in place of a role, one right (repeatable): ${SCOPES.join(', ')}`)
        .choices(SCOPES)
        .argParser((scope: string, before: string[] | undefined) => [...(before ?? []), knownScope(scope)])
        .conflicts('role'),
    )
    .option(
      '--expires <when>',
      'a duration such as 12h or 90d, or a date such as 2027-01-31; never when left out',
      expiry,
    )
    .option('--priority <n>', 'its share of workers beside that of other keys, 1 to 1000', integer(1000), 10)
    .option('--requests-per-minute <n>', 'most requests in a minute (default: no limit)', integer(1_000_000))
    .option('--concurrent-jobs <n>', 'most jobs that run at once, others wait (default: no limit)', integer(100_000))
    .option('--job-minutes-per-day <n>', 'most minutes of workers in 24 hours (default: no limit)', integer(1_000_000))
    .action(async (name, flags) => (await commands()).createKey(name, flags, context));
  add('audit', 'Show who changed what, newest first, at most 200 entries.').action(async () =>
    (await commands()).listAudit(context),
  );
  add('revoke-key', 'End an API key at once.')
    .argument('<id>', 'key_…')
    .action(async (id) => (await commands()).revokeKey(id, context));
}

function knownScope(scope: string): string {
  if ((SCOPES as readonly string[]).includes(scope)) return scope;
  throw new InvalidArgumentError(`Take one of ${SCOPES.join(', ')}.`);
}

/** Parses an integer from 1. */
function integer(most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= 1 && value <= most) return value;
    throw new InvalidArgumentError(`Give an integer from 1 to ${most}.`);
  };
}

const MS_PER_UNIT: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Parses `30m`, `12h`, `90d` from now, or a date; it lies in the future. */
function expiry(text: string): Date {
  const [, count, unit] = /^(\d{1,6})([mhd])$/.exec(text) ?? [];
  const isDate = /^\d{4}-\d\d-\d\d(T[\d:.]+Z)?$/.test(text);
  const at =
    unit !== undefined ? Date.now() + Number(count) * MS_PER_UNIT[unit]! : isDate ? Date.parse(text) : Number.NaN;
  if (at > Date.now()) return new Date(at);
  throw new InvalidArgumentError(
    'Give a duration such as 30m, 12h or 90d, or a date in the future such as 2027-01-31.',
  );
}
