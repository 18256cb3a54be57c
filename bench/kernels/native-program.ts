import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** What is used of the kernels' toolchain, which is plain JavaScript. */
interface Toolchain {
  findCompiler(chosen: string | undefined): { command?: string[]; reason?: string };
  programTarget(sources: readonly string[], options: { link: string[]; headers: string[] }): object;
  compile(command: readonly string[], target: object, output: string, objects: string): Promise<string | null>;
}

/** The compiled benchmark and what it was made with. */
export interface NativeProgram {
  readonly path: string;
  readonly compiler: string;
}

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const KERNELS = join(ROOT, 'packages', 'kernels');
const SOURCES = join(ROOT, 'bench', 'kernels', 'native');
const USES_DNNL =
  '#include <dnnl.hpp>\nstatic_assert(DNNL_VERSION_MAJOR == 2);\nint main() { return !dnnl_version(); }\n';

/**
 * Compiles the kernels and the benchmark of `native/`. oneDNN 2 joins where its header is found.
 * @param chosenCompiler the value of CXX, if set
 * @param folder where the program goes; objects stay in the build folder of the kernels
 */
export async function buildNativeProgram(chosenCompiler: string | undefined, folder: string): Promise<NativeProgram> {
  const toolchain = (await import(join(KERNELS, 'native-toolchain.mjs'))) as Toolchain;
  const { command, reason } = toolchain.findCompiler(chosenCompiler);
  if (command === undefined) throw new Error(`The benchmark of kernels needs a compiler: ${reason}`);
  const link = hasDnnl(command) ? ['-ldl', '-ldnnl'] : ['-ldl'];
  const target = toolchain.programTarget(filesOf('.cc'), { link, headers: filesOf('.h') });
  const path = join(folder, 'kernels-bench');
  const log = await toolchain.compile(command, target, path, join(KERNELS, 'build', 'objects'));
  if (log !== null) throw new Error(`${command.join(' ')} failed to compile the benchmark:\n${log}`);
  return { path, compiler: firstLine(spawnSync(command[0]!, ['--version'], { encoding: 'utf8' }).stdout) };
}

function filesOf(extension: '.cc' | '.h'): string[] {
  const names = readdirSync(SOURCES, { recursive: true }).map(String).sort();
  return names.filter((name) => name.endsWith(extension)).map((name) => join(SOURCES, name));
}

function hasDnnl([program, ...rest]: readonly string[]): boolean {
  const args = [...rest, '-std=c++20', '-fsyntax-only', '-x', 'c++', '-'];
  return spawnSync(program!, args, { input: USES_DNNL }).status === 0;
}

function firstLine(text: string): string {
  return text.split('\n')[0] ?? '';
}
