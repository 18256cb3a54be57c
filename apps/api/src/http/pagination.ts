import type { Page, PageRequest } from '@tritforge/store';
import Type, { type Static } from 'typebox';

/** Query parameters of every list. */
export const pageQuery = {
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 200, default: 50, description: 'Most items of the page.' })),
  cursor: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 512,
      description: '`nextCursor` of the page before; first page without it.',
    }),
  ),
};
const PageQuery = Type.Object(pageQuery);

/** The page that a query asks for. */
export function pageRequest({ limit, cursor }: Static<typeof PageQuery>): PageRequest {
  return { ...(limit !== undefined && { limit }), ...(cursor !== undefined && { cursor }) };
}

/** The schema of a page of items, newest first. */
export function pageSchema<S extends Type.TSchema>(item: S) {
  return Type.Object({
    items: Type.Array(item, { description: 'Newest first.' }),
    nextCursor: Type.Union([Type.String(), Type.Null()], { description: 'Cursor of the next page; null on the last.' }),
  });
}

/** The page as JSON. */
export function pageBody<T>({ items, nextCursor }: Page<T>): Page<T> {
  return { items, nextCursor };
}
