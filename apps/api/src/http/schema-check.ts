import { type ErrorCode, TritforgeError } from '@tritforge/contracts';
import type { Static, TSchema } from 'typebox';
import { Compile, type Validator } from 'typebox/compile';
import { Value } from 'typebox/value';
import { requireStorableText } from './storable-text.js';

interface SchemaIssue {
  readonly keyword: string;
  readonly instancePath: string;
  readonly message: string;
  readonly params: Readonly<Record<string, unknown>>;
}

/** A schema that was compiled once. Takes any value; returns it typed. */
export type SchemaCheck<S extends TSchema> = (value: unknown) => Static<S>;

/**
 * Compiles a schema into a check that throws what the caller can act on: the path of the wrong field and what would fit.
 * @param where names the checked thing in messages and starts `field`, such as `recipe`; empty for a whole body
 * @param options.convert turns texts into the numbers and booleans that the schema wants, for query parameters
 * @throws TritforgeError (by the check) with the given code
 */
export function compileCheck<S extends TSchema>(
  schema: S,
  code: ErrorCode,
  where = '',
  options: { readonly convert?: boolean } = {},
): SchemaCheck<S> {
  const compiled = Compile(schema);
  return (input) => {
    const value = options.convert ? Value.Convert(schema, input) : input;
    const issues = issuesOf(compiled, value);
    if (issues.length > 0) throw schemaError(issues, code, where);
    requireStorableText(value, code, where);
    return value as Static<S>;
  };
}

function issuesOf(compiled: Validator, value: unknown): readonly SchemaIssue[] {
  try {
    return compiled.Check(value) ? [] : (compiled.Errors(value) as unknown as SchemaIssue[]);
  } catch (error) {
    // uniqueItems follows what it compares, whatever its type, until the stack ends.
    if (!(error instanceof RangeError)) throw error;
    return [{ keyword: 'depth', instancePath: '', message: 'is nested too deeply', params: {} }];
  }
}

function schemaError(issues: readonly SchemaIssue[], code: ErrorCode, where: string): TritforgeError {
  const issue = mostTelling(issues);
  const steps = issue.instancePath.split('/').slice(1).map(unescapePointer);
  const field = [where, ...steps, missingName(issue)].filter((step) => step !== '').join('.');
  return new TritforgeError(code, `${field === '' ? 'The body' : field} ${describe(issue)}`, {
    ...(field !== '' && { field }),
    remediation: 'Compare the request with its schema in /openapi.json.',
  });
}

/** The issue to report: of the deepest path, where unions list what their branches would take. */
function mostTelling(issues: readonly SchemaIssue[]): SchemaIssue {
  const depth = ({ instancePath }: SchemaIssue) => instancePath.split('/').length;
  const deepest = issues.reduce((left, right) => (depth(right) > depth(left) ? right : left));
  const atPath = issues.filter(({ instancePath }) => instancePath === deepest.instancePath);
  if (!atPath.some(isUnion)) return deepest;
  const texts = atPath.filter((issue) => !isUnion(issue)).map(describe);
  return { ...deepest, keyword: 'anyOf', message: [...new Set(texts)].join(' or '), params: {} };
}

const isUnion = ({ keyword }: SchemaIssue) => keyword === 'anyOf' || keyword === 'oneOf';

function missingName({ keyword, params }: SchemaIssue): string {
  const [name] = keyword === 'required' ? (params.requiredProperties as string[]) : [];
  return name ?? '';
}

/** What is wrong, to follow the name of the field. */
function describe({ keyword, message, params }: SchemaIssue): string {
  if (keyword === 'enum') return `must be one of ${JSON.stringify(params.allowedValues)}`;
  if (keyword === 'const') return `must be ${JSON.stringify(params.allowedValue)}`;
  if (keyword === 'required') return 'is missing';
  if (keyword === 'boolean') return 'is not a known field';
  return message;
}

const unescapePointer = (step: string) => step.replaceAll('~1', '/').replaceAll('~0', '~');
