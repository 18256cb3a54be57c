type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** Stands for `$id` while the document is made; the generator would resolve and drop that one. */
const NAME = 'x-schema-name';

/** A copy of a route's schema whose parts carry their `$id` under a name that the generator leaves alone. */
export function nameSchemas<T>(schema: T): T {
  // TypeBox keeps its own marks in hidden properties; JSON drops them.
  const text = JSON.stringify(schema, (_key, value) => {
    if (typeof value?.$id !== 'string') return value;
    const { $id, ...rest } = value;
    return { ...rest, [NAME]: $id };
  });
  return JSON.parse(text);
}

/**
 * Moves every named schema to `components.schemas` and refers to it from where it was.
 * @param document an OpenAPI document of schemas that went through `nameSchemas`; it stays as it is
 */
export function hoistSchemas<T extends object>(document: T): T {
  const schemas: Record<string, Json> = {};
  const visit = (value: Json): Json => {
    if (Array.isArray(value)) return value.map(visit);
    if (typeof value !== 'object' || value === null) return value;
    const { [NAME]: name, ...rest } = value;
    const visited = Object.fromEntries(Object.entries(rest).map(([key, item]) => [key, visit(item)]));
    if (typeof name !== 'string') return visited;
    schemas[name] = visited;
    return { $ref: `#/components/schemas/${name}` };
  };
  const { components, ...rest } = visit(JSON.parse(JSON.stringify(document))) as Record<string, Json>;
  return { ...rest, components: { ...(components as object), schemas } } as unknown as T;
}
