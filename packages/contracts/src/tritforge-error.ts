import { ERROR_CODES, type ErrorCode } from './error-codes.js';

/** Where an error lies and what to do about it; every field is optional. */
export interface ErrorContext {
  /** Name of the graph node. */
  readonly node?: string;
  readonly opType?: string;
  readonly opset?: number;
  /** The part of the request, archive or file that is wrong, as a path such as `recipe.weights.groupSize`. */
  readonly field?: string;
  /** One sentence that says what the caller can do. */
  readonly remediation?: string;
  readonly cause?: unknown;
}

/** The JSON form of an error as it crosses a process boundary and as a job keeps it. */
export interface SerializedError {
  code: ErrorCode;
  message: string;
  retryable: boolean;
  node?: string;
  opType?: string;
  opset?: number;
  field?: string;
  remediation?: string;
}

/** Longest message, and longest name or remediation beside it, that leave the process: names in files are strangers' text of any length. */
const MAX_MESSAGE_LENGTH = 2000;
const MAX_TEXT_LENGTH = 1000;

/** The beginning of a text that is too long, without half of a character at its end. */
function cut(text: string, maxLength: number): string {
  if (text.length <= maxLength) return text;
  return `${text.slice(0, maxLength).replace(/[\ud800-\udbff]$/, '')}…`;
}

/**
 * An error that has a stable code and a message for the caller.
 *
 * @example throw new TritforgeError('MODEL_TRUNCATED', 'model.onnx ends at byte 812 inside a tensor of 4096 bytes', { node: 'conv1' })
 */
export class TritforgeError extends Error {
  override readonly name = 'TritforgeError';
  readonly code: ErrorCode;
  readonly context: ErrorContext;

  constructor(code: ErrorCode, message: string, context: ErrorContext = {}) {
    super(message, context.cause === undefined ? undefined : { cause: context.cause });
    this.code = code;
    this.context = context;
  }

  get status(): number {
    return ERROR_CODES[this.code].status;
  }

  get retryable(): boolean {
    return ERROR_CODES[this.code].retryable === true;
  }

  /** The JSON form, without cause and stack; texts that are very long are cut. */
  toJSON(): SerializedError {
    const { node, opType, opset, field, remediation } = this.context;
    return {
      code: this.code,
      message: cut(this.message, MAX_MESSAGE_LENGTH),
      retryable: this.retryable,
      ...(node !== undefined && { node: cut(node, MAX_TEXT_LENGTH) }),
      ...(opType !== undefined && { opType: cut(opType, MAX_TEXT_LENGTH) }),
      ...(opset !== undefined && { opset }),
      ...(field !== undefined && { field: cut(field, MAX_TEXT_LENGTH) }),
      ...(remediation !== undefined && { remediation: cut(remediation, MAX_TEXT_LENGTH) }),
    };
  }

  /** The reverse of {@link TritforgeError.toJSON}. */
  static from({ code, message, retryable: _, ...context }: SerializedError): TritforgeError {
    return new TritforgeError(code, message, context);
  }
}
