import Type, { type Static } from 'typebox';

/** What a selector looks at; all given properties must hold. `name` is a glob over node names (`*`, `?`). */
export const LayerMatch = Type.Object(
  {
    name: Type.Optional(Type.String({ minLength: 1, maxLength: 512 })),
    op: Type.Optional(Type.String({ minLength: 1, maxLength: 64 })),
    depthwise: Type.Optional(Type.Boolean()),
  },
  { additionalProperties: false, minProperties: 1 },
);
export type LayerMatch = Static<typeof LayerMatch>;
