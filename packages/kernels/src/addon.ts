import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

/** The compiled addon. Arguments are positional, so that no getter can run between its checks. */
export interface Addon {
  readonly interfaceVersion: number;
  readonly [name: string]: unknown;
}

/** Must equal kInterfaceVersion in addon.cc. */
const INTERFACE_VERSION = 4;

const require = createRequire(import.meta.url);

/** Why there are no native kernels, and what would bring them. */
export class NativeKernelsUnavailable extends Error {
  override readonly name = 'NativeKernelsUnavailable';

  constructor(reason: string, cause?: unknown) {
    super(
      `${reason}. To get native kernels: install a C++20 compiler (Debian: apt-get install g++; Alpine: apk add g++; ` +
        'macOS: xcode-select --install), then run "node packages/kernels/build.mjs --force --require" as a user who ' +
        'may write to packages/kernels/build. An addon built on another system must be rebuilt on this one.',
      cause === undefined ? undefined : { cause },
    );
  }
}

/**
 * Loads the addon; Node keeps it, so this costs little the next time.
 * @param buildFolder where build.mjs left it
 * @throws NativeKernelsUnavailable when it was not built, or cannot be loaded here
 */
export function loadAddon(buildFolder: URL = new URL('../build/', import.meta.url)): Addon {
  const status = readBuildStatus(buildFolder);
  if (status.addon === null) throw new NativeKernelsUnavailable(status.reason ?? 'the native kernels were not built');
  const file = fileURLToPath(new URL(status.addon, buildFolder));
  let addon: Addon;
  try {
    addon = require(file) as Addon;
  } catch (cause) {
    throw new NativeKernelsUnavailable(`${file} cannot be loaded: ${(cause as Error).message}`, cause);
  }
  if (addon.interfaceVersion !== INTERFACE_VERSION) {
    throw new NativeKernelsUnavailable(
      `${file} has interface version ${addon.interfaceVersion}, this package needs ${INTERFACE_VERSION}`,
    );
  }
  return addon;
}

/** What the last build announced: the addon's file name, or why there is none. */
function readBuildStatus(buildFolder: URL): { addon: string | null; reason: string | null } {
  const file = new URL(`status-${process.platform}-${process.arch}.json`, buildFolder);
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new NativeKernelsUnavailable(`${fileURLToPath(file)} cannot be read: no build has finished`, cause);
  }
}
