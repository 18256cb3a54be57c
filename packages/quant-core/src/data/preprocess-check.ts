import { Preprocess, TritforgeError } from '@tritforge/contracts';
import { Value } from 'typebox/value';

/**
 * Checks a preprocess description against its schema and against itself.
 * @param kind what it is to be applied to; arrays can be neither resized, cropped nor reordered
 * @throws TritforgeError PREPROCESS_INVALID naming the field
 */
export function checkPreprocess(preprocess: Preprocess, kind: 'images' | 'arrays'): void {
  checkSchema(preprocess);
  checkResize(preprocess);
  for (const field of ['mean', 'std'] as const) checkPerChannel(field, preprocess[field]);
  const std = [preprocess.std ?? 1].flat();
  if (std.includes(0))
    throw invalid('std', 'is 0, by which nothing can be divided', 'Give standard deviations above 0.');
  if (preprocess.scale !== undefined) checkFinite('scale', preprocess.scale);
  if (kind === 'images') checkImageChannels(preprocess);
  else checkArraySteps(preprocess);
}

function checkSchema(value: unknown): void {
  if (Value.Check(Preprocess, value)) return;
  const issue = Value.Errors(Preprocess, value)[0];
  const field = ['preprocess', ...(issue?.instancePath.split('/').slice(1) ?? [])].join('.');
  throw new TritforgeError(
    'PREPROCESS_INVALID',
    `${field} ${issue?.keyword === 'boolean' ? 'is not a known field' : (issue?.message ?? 'does not match its schema')}`,
    {
      field,
      remediation: 'Compare the description with the Preprocess schema in /openapi.json.',
    },
  );
}

function checkResize({ resize }: Preprocess): void {
  if (resize === undefined) return;
  const { shortSide, width, height } = resize;
  const sides = width !== undefined && height !== undefined;
  if ((shortSide !== undefined) === sides || (shortSide !== undefined && (width ?? height) !== undefined)) {
    throw invalid('resize', 'needs either shortSide, or both width and height', 'Give one of the two.');
  }
}

function checkPerChannel(field: 'mean' | 'std', value: number | readonly number[] | undefined): void {
  for (const number of [value ?? 0].flat()) checkFinite(field, number);
}

function checkFinite(field: string, value: number): void {
  if (!Number.isFinite(value)) throw invalid(field, `is ${value}`, 'Give finite numbers.');
}

function checkImageChannels(preprocess: Preprocess): void {
  const channels = channelsOf(preprocess);
  for (const field of ['mean', 'std'] as const) {
    const value = preprocess[field];
    if (Array.isArray(value) && value.length !== 1 && value.length !== channels) {
      throw invalid(
        field,
        `has ${value.length} numbers for ${channels} channels`,
        'Give one number, or one per channel.',
      );
    }
  }
}

function checkArraySteps(preprocess: Preprocess): void {
  for (const field of ['resize', 'centerCrop'] as const) {
    if (preprocess[field] !== undefined) {
      throw invalid(field, 'cannot be applied to arrays', 'Send images, or arrays of the final size.');
    }
  }
  if (preprocess.channels !== undefined && preprocess.channels !== 'rgb') {
    throw invalid('channels', 'cannot be applied to arrays', 'Store the channels in the order that the model takes.');
  }
}

/** Channels of the images after preprocessing. */
export function channelsOf(preprocess: Preprocess): 1 | 3 {
  return preprocess.channels === 'gray' ? 1 : 3;
}

/** A per-channel setting as one number for each channel. */
export function perChannel(
  value: number | readonly number[] | undefined,
  fallback: number,
  channels: number,
): number[] {
  const list = [value ?? fallback].flat() as number[];
  return list.length === 1 ? new Array<number>(channels).fill(list[0]!) : list;
}

/** An error about a field of the description. */
export function invalid(field: string, what: string, remediation: string): TritforgeError {
  return new TritforgeError('PREPROCESS_INVALID', `preprocess.${field} ${what}`, {
    field: `preprocess.${field}`,
    remediation,
  });
}
