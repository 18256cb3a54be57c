import { TritforgeError } from '@tritforge/contracts';

/** An object of a bucket by its address `s3://bucket/key`. */
export interface SourceAddress {
  readonly bucket: string;
  readonly key: string;
}

/** A bucket, or what lies in it below a key that ends with a slash. */
export interface SourcePlace {
  readonly bucket: string;
  /** Empty for all of the bucket. */
  readonly prefix: string;
}

const ADDRESS = /^s3:\/\/([\w.-]{3,255})\/(.{1,1024})$/s;
const PLACE = /^s3:\/\/([\w.-]{3,255})(?:\/(.*))?$/s;

/** Places between spaces or commas, such as `s3://models s3://data/public`. @throws Error that says what would be right */
export function parseSourcePlaces(text: string): SourcePlace[] {
  return text
    .split(/[\s,]+/)
    .filter((word) => word !== '')
    .map((word) => {
      const [, bucket, folder = ''] = PLACE.exec(word) ?? [];
      if (bucket === undefined || !isPlain(folder)) {
        throw new Error('addresses between spaces, such as s3://models s3://data/public');
      }
      return { bucket, prefix: folder === '' || folder.endsWith('/') ? folder : `${folder}/` };
    });
}

/**
 * The object that an address names, when it lies in an allowed place and in no forbidden one.
 * @param field of the request that has the address
 * @throws TritforgeError SOURCE_NOT_ALLOWED
 */
export function allowedSource(
  url: string,
  allowed: readonly SourcePlace[],
  forbidden: readonly SourcePlace[],
  field: string,
): SourceAddress {
  const [, bucket = '', key = ''] = ADDRESS.exec(url) ?? [];
  const isIn = (place: SourcePlace) => place.bucket === bucket && key.startsWith(place.prefix);
  // What ends with a slash is a folder.
  const isFile = key !== '' && !key.endsWith('/') && isPlain(key);
  if (isFile && allowed.some(isIn) && !forbidden.some(isIn)) return { bucket, key };
  throw new TritforgeError('SOURCE_NOT_ALLOWED', `The service takes no file from ${url.slice(0, 200)}.`, {
    field,
    remediation:
      allowed.length === 0
        ? 'Send the file itself, or ask the operator to allow the bucket in TRITFORGE_SOURCES.'
        : `Name an object below ${allowed.map((place) => `s3://${place.bucket}/${place.prefix}`).join(' or ')}.`,
  });
}

/** Whether a key means the same to servers that keep objects as files: no segment leads elsewhere, and none has control characters. */
function isPlain(key: string): boolean {
  return key.split('/').every((segment) => segment !== '.' && segment !== '..') && !/\p{Cc}/u.test(key);
}
