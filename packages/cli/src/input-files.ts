import { constants } from 'node:fs';
import { access, readFile, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { type ErrorCode, Preprocess, Recipe, TritforgeError } from '@tritforge/contracts';
import type { DatasetReference } from '@tritforge/quant-core/process';
import type { Static, TSchema } from 'typebox';
import { Value } from 'typebox/value';

/** The absolute path of a file that is there and can be read. @throws TritforgeError with the given code */
export async function inputFile(path: string, code: ErrorCode): Promise<string> {
  const absolutePath = resolve(path);
  try {
    if (!(await stat(absolutePath)).isFile()) throw new Error('it is not a file');
    await access(absolutePath, constants.R_OK);
  } catch (error) {
    throw new TritforgeError(code, `Cannot read ${path}: ${reasonOf(error)}.`, { remediation: 'Check the path.' });
  }
  return absolutePath;
}

/** @throws TritforgeError MODEL_NOT_FOUND */
export function modelFile(path: string): Promise<string> {
  return inputFile(path, 'MODEL_NOT_FOUND');
}

/** @throws TritforgeError DATASET_NOT_FOUND */
export async function datasetFile(path: string, preprocess: Preprocess | null): Promise<DatasetReference> {
  return { path: await inputFile(path, 'DATASET_NOT_FOUND'), ...(preprocess && { preprocess }) };
}

/** @throws TritforgeError RECIPE_INVALID */
export function readRecipe(path: string): Promise<Recipe> {
  return readJson(path, Recipe, 'RECIPE_INVALID');
}

/** @throws TritforgeError PREPROCESS_INVALID */
export function readPreprocess(path: string): Promise<Preprocess> {
  return readJson(path, Preprocess, 'PREPROCESS_INVALID');
}

async function readJson<S extends TSchema>(path: string, schema: S, code: ErrorCode): Promise<Static<S>> {
  const text = await readFile(await inputFile(path, code), 'utf8');
  const value = parseJson(text, path, code);
  const [issue] = Value.Errors(schema, value).sort((a, b) => depth(b) - depth(a));
  if (issue === undefined) return value as Static<S>;
  const field = issue.instancePath.slice(1).replaceAll('/', '.');
  throw new TritforgeError(code, `${path}: ${field === '' ? 'the document' : field} ${issue.message}.`, {
    ...(field !== '' && { field }),
    remediation: 'Correct the file.',
  });
}

function parseJson(text: string, path: string, code: ErrorCode): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new TritforgeError(code, `${path} is not valid JSON: ${(error as Error).message}.`, {
      remediation: 'Correct the file.',
    });
  }
}

/** The deepest issue says most: those above it only say that something below does not fit. */
function depth({ instancePath }: { readonly instancePath: string }): number {
  return instancePath.split('/').length;
}

function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT') return 'there is no such file';
  if (code === 'EACCES') return 'permission denied';
  return message;
}
