import { TritforgeError } from '@tritforge/contracts';

/** Longest file or folder name that common file systems take, in bytes of UTF-8. */
const MAX_NAME_BYTES = 255;
const MAX_PATH_BYTES = 1024;

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const UNSAFE_CHARACTERS = /[\u0000-\u001f\u007f"<>|?*:\\/]|\p{Surrogate}/gu;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const UNUSABLE_CHARACTERS = /[\u0000-\u001f\u007f]|\p{Surrogate}/u;

/**
 * A file name that is safe on every system, made of what the client sent: its last step, unsafe characters replaced,
 * the beginning cut when it is too long.
 */
export function safeFileName(sent: string | undefined, fallback: string): string {
  const last = sent?.split(/[\\/]/).at(-1) ?? '';
  const clean = last.replace(UNSAFE_CHARACTERS, '_');
  if (/^\.*$/.test(clean)) return fallback;
  let name = clean;
  while (Buffer.byteLength(name) > MAX_NAME_BYTES) name = name.slice(1);
  return name;
}

/**
 * Checks the path by which a model refers to external data: relative, with forward slashes, within the model's folder.
 * @throws TritforgeError MODEL_EXTERNAL_DATA_ESCAPES, MULTIPART_INVALID
 */
export function externalDataPath(sent: string | undefined): string {
  if (sent === undefined || sent === '') {
    throw new TritforgeError('MULTIPART_INVALID', 'A part "data" has no file name', {
      field: 'data',
      remediation: 'Give each part "data" the file name by which the model refers to it.',
    });
  }
  const steps = sent.split('/');
  if (/^([a-z]:|[\\/])/i.test(sent) || sent.includes('\\') || steps.includes('..')) {
    throw new TritforgeError('MODEL_EXTERNAL_DATA_ESCAPES', `"${sent.slice(0, 200)}" lies outside the model's folder`, {
      field: 'data',
      remediation: 'Name external data relative to the model, with forward slashes and without "..".',
    });
  }
  const isSafe = steps.every((step) => step !== '' && step !== '.' && !UNUSABLE_CHARACTERS.test(step));
  const isShort = steps.every((step) => Buffer.byteLength(step) <= MAX_NAME_BYTES);
  if (!isSafe || !isShort || Buffer.byteLength(sent) > MAX_PATH_BYTES) {
    throw new TritforgeError('MULTIPART_INVALID', `A part "data" has the unusable file name "${sent.slice(0, 200)}"`, {
      field: 'data',
      remediation: 'Use names without control characters and empty steps, at most 255 bytes per step.',
    });
  }
  return sent;
}

/** @throws TritforgeError MULTIPART_INVALID when a file would have to be the folder of another one, as in `a` and `a/b` */
export function refuseFilesAsFolders(names: readonly string[]): void {
  const folder = names.find((name) => names.some((other) => other.startsWith(`${name}/`)));
  if (folder === undefined) return;
  throw new TritforgeError('MULTIPART_INVALID', `"${folder.slice(0, 200)}" is a file and the folder of another file`, {
    field: 'data',
    remediation: 'Give the files of a model names that can lie beside each other.',
  });
}
