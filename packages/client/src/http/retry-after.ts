/**
 * What a `Retry-After` header asks for, in milliseconds from `nowMs`; 0 where there is none or it makes no sense.
 * @param header seconds, or a date
 */
export function retryAfterMs(header: string | null, nowMs: number): number {
  const text = header?.trim() ?? '';
  if (/^\d{1,9}$/.test(text)) return 1000 * Number(text);
  const atMs = Date.parse(text);
  return Number.isNaN(atMs) ? 0 : Math.max(0, atMs - nowMs);
}
