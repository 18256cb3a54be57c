import { randomUUID } from 'node:crypto';
import type { StreamedBody } from '../http/streamed-body.js';
import { fileBytes } from './file-bytes.js';

/** A part of a form: text, or a file with its size when the form is made. */
export interface Part {
  readonly name: string;
  readonly content: string | { readonly path: string; readonly fileName: string; readonly sizeBytes: number };
}

/** A form of multipart/form-data (RFC 7578) whose files are read while it is sent. */
export function multipartBody(parts: readonly Part[]): StreamedBody {
  const boundary = `tritforge-${randomUUID()}`;
  const end = Buffer.from(`--${boundary}--\r\n`);
  const heads = parts.map((part) => Buffer.from(`--${boundary}\r\n${headOf(part)}\r\n\r\n`));
  const sizes = parts.map(({ content }, i) => heads[i]!.length + sizeOf(content) + LINE_END.length);
  return {
    contentType: `multipart/form-data; boundary=${boundary}`,
    sizeBytes: sizes.reduce((sum, size) => sum + size, end.length),
    async *open() {
      for (const [i, { content }] of parts.entries()) {
        yield heads[i]!;
        if (typeof content === 'string') yield Buffer.from(content);
        else yield* fileBytes(content.path, 0, content.sizeBytes);
        yield LINE_END;
      }
      yield end;
    },
  };
}

const LINE_END = Buffer.from('\r\n');

function headOf({ name, content }: Part): string {
  const fileName = typeof content === 'string' ? '' : `; filename="${escaped(content.fileName)}"`;
  return `Content-Disposition: form-data; name="${name}"${fileName}`;
}

/** Names as browsers write them (WHATWG HTML, multipart/form-data encoding algorithm). */
function escaped(name: string): string {
  return name.replace(/["\r\n]/g, (character) => encodeURIComponent(character));
}

function sizeOf(content: Part['content']): number {
  return typeof content === 'string' ? Buffer.byteLength(content) : content.sizeBytes;
}
