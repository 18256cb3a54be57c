import assert from 'node:assert/strict';
import Schema from 'typebox/schema';

/** The part of an OpenAPI document that answers are compared with. */
export interface OpenapiDocument {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, object>> };
}

interface Operation {
  readonly operationId: string;
  readonly requestBody?: { readonly content: Readonly<Record<string, RequestMedia>> };
  readonly responses: Readonly<Record<string, DocumentedResponse>>;
}

interface RequestMedia {
  readonly schema: object;
  readonly examples?: Readonly<Record<string, { readonly value: unknown }>>;
}

interface DocumentedResponse {
  readonly headers?: Readonly<Record<string, unknown>>;
  readonly content?: Readonly<Record<string, { readonly schema: object }>>;
}

/** Compares answers with what the OpenAPI document says of them; fields that it does not know are errors too. */
export class Conformance {
  readonly #document: OpenapiDocument;
  readonly #checks = new Map<object, ReturnType<typeof Schema.Compile>>();

  constructor(document: OpenapiDocument) {
    this.#document = withoutOtherFields(document) as OpenapiDocument;
  }

  /** @throws AssertionError when the answer is not as documented */
  async check(method: string, path: string, response: Response): Promise<void> {
    const operation = this.#operation(method, path);
    if (operation === null) return;
    const what = `${method} ${path} → ${response.status}`;
    const documented = operation.responses[response.status];
    assert.ok(documented, `${what} is not documented`);
    for (const name of Object.keys(documented.headers ?? {})) {
      const isOptional = name === 'Retry-After' && response.status === 200;
      assert.ok(isOptional || response.headers.has(name), `${what} lacks the header ${name}`);
    }
    await this.#checkBody(what, documented, response);
  }

  async #checkBody(what: string, { content }: DocumentedResponse, response: Response): Promise<void> {
    const mediaType = response.headers.get('content-type')?.split(';')[0];
    if (content === undefined) {
      assert.equal(await response.text(), '', `${what} has a body`);
      return;
    }
    // What a HEAD is answered with has the headers of a body alone.
    const media = content[mediaType ?? ''];
    assert.ok(media, `${what} has the undocumented content type ${mediaType}`);
    if (!/json$/.test(mediaType ?? '')) return;
    const text = await response.text();
    if (what.startsWith('HEAD ') && text === '') return;
    const [isValid, errors] = this.#compiled(media.schema).Errors(JSON.parse(text));
    assert.ok(isValid, `${what} is not as documented: ${JSON.stringify(errors)}\n${text}`);
  }

  #compiled(schema: object) {
    const known = this.#checks.get(schema);
    if (known) return known;
    const check = Schema.Compile({ ...schema, components: this.#document.components });
    this.#checks.set(schema, check);
    return check;
  }

  #operation(method: string, path: string): Operation | null {
    const plain = path.split('?')[0] ?? '';
    for (const [template, operations] of Object.entries(this.#document.paths)) {
      const pattern = new RegExp(`^${template.replace(/\{\w+\}/g, '[^/]+')}$`);
      if (pattern.test(plain)) return operations[method.toLowerCase()] ?? null;
    }
    return null;
  }
}

/** A copy in which objects with known properties have no others. */
function withoutOtherFields(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutOtherFields);
  if (typeof value !== 'object' || value === null) return value;
  const copy = Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withoutOtherFields(item)]));
  const isObjectSchema = copy.type === 'object' && copy.properties !== undefined;
  return isObjectSchema ? { additionalProperties: false, ...copy } : copy;
}
