import { create, type DescMessage, type Message, type MessageShape } from '@bufbuild/protobuf';

/** Fields of a message that the graph types have no place for, unknown fields among them. */
export type Leftovers = Readonly<Record<string, unknown>>;

/** What is set in a message besides the fields in `consumed`; undefined when nothing is, as is usual. */
export function leftovers(message: Message, consumed: ReadonlySet<string>): Leftovers | undefined {
  let rest: Record<string, unknown> | undefined;
  for (const [key, value] of Object.entries(message)) {
    if (key === '$typeName' || consumed.has(key) || isEmpty(value)) continue;
    rest ??= {};
    rest[key] = value;
  }
  return rest;
}

/** A message with the leftovers in it and nothing else. */
export function restore<D extends DescMessage>(schema: D, rest: Leftovers | undefined): MessageShape<D> {
  return Object.assign(create(schema), rest);
}

function isEmpty(value: unknown): boolean {
  return value === undefined || (Array.isArray(value) && value.length === 0);
}
