import { TritforgeError } from '@tritforge/contracts';

const SHA256_MEMBER = /(?:^|,)\s*sha-256\s*=\s*:([A-Za-z0-9+/=]*):/;

/**
 * The value of a `Content-Digest` or `Repr-Digest` header (RFC 9530).
 * @param digest `sha256:<hex>`
 * @example contentDigest('sha256:e3b0…') // 'sha-256=:47DEQpj8HBSa…=:'
 */
export function contentDigest(digest: string): string {
  return `sha-256=:${Buffer.from(digest.replace(/^sha256:/, ''), 'hex').toString('base64')}:`;
}

/**
 * The SHA-256 that a request announces in `Content-Digest`, as 64 hexadecimal digits, or null when it announces none.
 * Other algorithms are ignored, as RFC 9530 allows.
 * @throws TritforgeError HEADER_INVALID when the digest is not 32 bytes of base 64
 */
export function announcedSha256(header: string | string[] | undefined): string | null {
  if (header === undefined) return null;
  const encoded = SHA256_MEMBER.exec([header].flat().join(','))?.[1];
  if (encoded === undefined) return null;
  const bytes = Buffer.from(encoded, 'base64');
  if (bytes.length !== 32) {
    throw new TritforgeError('HEADER_INVALID', `Content-Digest holds a sha-256 of ${bytes.length} bytes`, {
      field: 'content-digest',
      remediation: 'Send the 32 bytes of the SHA-256 in base 64 between colons: sha-256=:…:',
    });
  }
  return bytes.toString('hex');
}
