import { TritforgeError } from '@tritforge/contracts';

/** The part came twice. */
export function duplicatePart(name: string, fileName?: string): TritforgeError {
  const which = fileName === undefined ? `"${name}"` : `"${name}" with the file name "${fileName.slice(0, 200)}"`;
  return new TritforgeError('MULTIPART_PART_DUPLICATE', `The body has more than one part ${which}`, {
    field: name,
    remediation: 'Send each file once.',
  });
}

/** The part did not come. */
export function missingPart(name: string): TritforgeError {
  return new TritforgeError('MULTIPART_PART_MISSING', `The body has no part "${name}"`, {
    field: name,
    remediation: `Add the file as a part named "${name}", as in curl -F ${name}=@FILE.`,
  });
}

/** A part that the route does not take. */
export function unexpectedPart(name: string, expected: readonly string[]): TritforgeError {
  const shown = name === '' ? 'without a name' : `"${name.slice(0, 100)}"`;
  return new TritforgeError('MULTIPART_PART_UNEXPECTED', `The body has a part ${shown}`, {
    ...(name !== '' && { field: name.slice(0, 100) }),
    remediation: `Send only the parts ${expected.join(', ')}.`,
  });
}
