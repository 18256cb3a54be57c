import { type ErrorCode, TritforgeError } from '@tritforge/contracts';

const RESUME = 'Ask for the offset by HEAD and send the bytes from there on.';

/** Refusals of the tus server, by their status, with what helps. */
const REFUSALS: Readonly<Record<number, readonly [code: ErrorCode, remediation: string]>> = {
  // Tus asks for its headers by 400 and 403, and refuses extensions that it does not have by 501.
  400: ['HEADER_INVALID', 'Send the headers of tus 1.0 as OPTIONS /uploads and the OpenAPI document name them.'],
  403: ['HEADER_INVALID', 'Send Upload-Offset, and Content-Type: application/offset+octet-stream.'],
  404: ['UPLOAD_NOT_FOUND', 'It may have expired or been deleted: make a new one by POST /uploads.'],
  409: ['UPLOAD_OFFSET_MISMATCH', RESUME],
  410: ['UPLOAD_NOT_FOUND', 'It has expired: make a new one by POST /uploads.'],
  413: ['UPLOAD_TOO_LARGE', 'Send what Upload-Length announced, which may be no more than Tus-Max-Size.'],
  501: ['HEADER_INVALID', 'Send the length of the file in Upload-Length, and the file as one upload.'],
};

/** What tus refused with a status and a line of text, as one of our errors. */
export function refusal(status: number, text: string): TritforgeError {
  const line = text.trim();
  if (line.startsWith('Request aborted')) return brokenOff();
  const [code, remediation] = REFUSALS[status] ?? ['INTERNAL', ''];
  return new TritforgeError(code, `The tus server refused the request: ${line}`, { remediation });
}

function brokenOff(): TritforgeError {
  return new TritforgeError('UPLOAD_INCOMPLETE', 'The body ended early, or another request for the upload took over', {
    remediation: RESUME,
  });
}
