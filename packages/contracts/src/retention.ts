/** How long resources are kept. */
import Type, { type Static } from 'typebox';
import { nullable } from './nullable.js';

/** At least a minute, so that what was uploaded can be used before it goes; at most ten years. In seconds. */
export const KEPT_SECONDS = { minimum: 60, maximum: 10 * 365 * 24 * 3600 } as const;

/** A wish of whoever sends something. */
export const ExpiresInSeconds = Type.Integer({
  ...KEPT_SECONDS,
  description: 'It is deleted after so many seconds. When left out it is kept for as long as the service is set to.',
});

/** The body of a PATCH of a model, dataset or job. */
export const Retention = Type.Object(
  {
    expiresInSeconds: nullable(
      Type.Integer({
        ...KEPT_SECONDS,
        description: 'From now; of a job that has not ended, from its end. Null keeps it until somebody deletes it.',
      }),
    ),
  },
  { additionalProperties: false, $id: 'Retention' },
);
export type Retention = Static<typeof Retention>;

/** When a resource goes. @param description what holds for its kind; null is what is kept */
export function expiresAt(description: string) {
  return nullable(Type.String({ format: 'date-time', description: `${description} Null: it is kept.` }));
}
