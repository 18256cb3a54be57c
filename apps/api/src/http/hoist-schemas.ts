type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/**
 * Moves every schema that carries an `$id` to `components.schemas` and refers to it from where it was.
 * @param document an OpenAPI document; it stays as it is
 */
export function hoistSchemas(document: object): object {
  const schemas: Record<string, Json> = {};
  const visit = (value: Json): Json => {
    if (Array.isArray(value)) return value.map(visit);
    if (typeof value !== 'object' || value === null) return value;
    const { $id, ...rest } = value;
    const visited = Object.fromEntries(Object.entries(rest).map(([key, item]) => [key, visit(item)]));
    if (typeof $id !== 'string') return visited;
    schemas[$id] = visited;
    return { $ref: `#/components/schemas/${$id}` };
  };
  // TypeBox keeps its own marks in hidden properties; JSON drops them.
  const { components, ...rest } = visit(JSON.parse(JSON.stringify(document)) as Json) as Record<string, Json>;
  return { ...rest, components: { ...(components as object), schemas } };
}
