import { idSchema, JobStateSchema, TritforgeError } from '@tritforge/contracts';
import type { JobFilter } from '@tritforge/store';
import Type, { type Static } from 'typebox';

/** Query parameters that choose jobs. */
export const jobFilterQuery = {
  state: Type.Optional(
    Type.Array(JobStateSchema, { maxItems: 6, description: 'Jobs in one of these states; may be repeated.' }),
  ),
  label: Type.Optional(
    Type.Array(Type.String({ pattern: '^[A-Za-z0-9._/-]{1,63}=', maxLength: 320 }), {
      maxItems: 32,
      description: 'Jobs that carry all of these labels, each as key=value; may be repeated.',
    }),
  ),
  modelId: Type.Optional(idSchema('model')),
};
const JobFilterQuery = Type.Object(jobFilterQuery);

/** @throws TritforgeError QUERY_INVALID when two values are asked of one label */
export function jobFilter({ state, label, modelId }: Static<typeof JobFilterQuery>): JobFilter {
  return {
    ...(state && { states: state }),
    ...(label && { labels: labelsOf(label) }),
    ...(modelId !== undefined && { modelId }),
  };
}

function labelsOf(pairs: readonly string[]): Record<string, string> {
  const labels = new Map<string, string>();
  for (const pair of pairs) {
    const end = pair.indexOf('=');
    const [key, value] = [pair.slice(0, end), pair.slice(end + 1)];
    if ((labels.get(key) ?? value) !== value) {
      throw new TritforgeError('QUERY_INVALID', `No job has two values of the label ${key}`, {
        field: 'label',
        remediation: 'Ask for one value of each label.',
      });
    }
    labels.set(key, value);
  }
  return Object.fromEntries(labels);
}
