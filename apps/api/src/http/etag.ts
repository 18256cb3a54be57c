import { createHash } from 'node:crypto';

/** A weak entity tag over the JSON form of a resource. */
export function weakEtag(json: string): string {
  return `W/"${createHash('sha256').update(json).digest('base64url').slice(0, 27)}"`;
}

/** A strong entity tag of content with this digest. */
export function strongEtag(digest: string): string {
  return `"${digest}"`;
}

/** Whether an `If-None-Match` header names the tag; the comparison is weak (RFC 9110, section 13.1.2). */
export function matchesEtag(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false;
  if (header.trim() === '*') return true;
  const opaque = (tag: string) => tag.trim().replace(/^W\//, '');
  return header.split(',').some((tag) => opaque(tag) === opaque(etag));
}

/** Whether a Range header counts: there is no `If-Range`, or it names exactly this strong tag (RFC 9110, section 13.1.5). */
export function rangeApplies(ifRange: string | string[] | undefined, etag: string): boolean {
  return ifRange === undefined || ifRange === etag;
}
