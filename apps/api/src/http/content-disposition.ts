/** Characters that `filename*` may hold unescaped beside letters and digits (RFC 8187, attr-char). */
const NOT_ATTRIBUTE = /['()*]/g;

/**
 * A `Content-Disposition: attachment` header for a file name with any characters: an ASCII form, and the exact name in
 * UTF-8 where the two differ (RFC 6266).
 */
export function attachment(fileName: string): string {
  const ascii = fileName.replace(/[^\x20-\x7e]/g, '_').replace(/["\\]/g, '_');
  const plain = `attachment; filename="${ascii}"`;
  if (ascii === fileName) return plain;
  const encoded = encodeURIComponent(fileName).replace(NOT_ATTRIBUTE, (c) => `%${c.charCodeAt(0).toString(16)}`);
  return `${plain}; filename*=UTF-8''${encoded}`;
}

/** The file name that a request's `Content-Disposition` header announces, or undefined. */
export function announcedFileName(header: string | undefined): string | undefined {
  const encoded = /filename\*\s*=\s*UTF-8''([^;\s]+)/i.exec(header ?? '')?.[1];
  if (encoded !== undefined) {
    try {
      return decodeURIComponent(encoded);
    } catch {
      return undefined;
    }
  }
  const [, quoted, token] = /filename\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;\s]+))/i.exec(header ?? '') ?? [];
  return quoted?.replace(/\\(.)/g, '$1') ?? token;
}
