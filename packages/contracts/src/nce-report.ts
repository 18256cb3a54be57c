import Type, { type Static } from 'typebox';
import { nullable } from './nullable.js';

const WidthReason = Type.Object({ node: Type.String(), why: Type.String() });

/** What something was, is, and may be. */
const Cost = Type.Object({
  original: Type.Integer(),
  limit: Type.Integer({ description: 'As the recipe has it.' }),
  result: Type.Integer({ description: 'Counted from the network that the artifacts are of.' }),
});

/** How the number of channels of each layer was found. */
export const NceReport = Type.Object(
  {
    samples: Type.Integer({ description: 'That it was searched on.' }),
    seconds: Type.Number(),
    widths: Type.Array(
      Type.Object({
        layers: Type.Array(Type.String(), { description: 'Layers that make these channels, by node.' }),
        original: Type.Integer({ description: 'Channels.' }),
        result: Type.Integer(),
        ties: Type.Array(WidthReason, { description: 'Why layers must have equally many.' }),
      }),
      { description: 'Numbers of channels that were searched, in the order of the network.' },
    ),
    fixed: Type.Array(
      Type.Object({ layers: Type.Array(Type.String()), channels: Type.Integer(), reasons: Type.Array(WidthReason) }),
      { description: 'Those that stay, and why.' },
    ),
    macs: Cost,
    parameters: Cost,
    bytes: Type.Optional(
      Type.Object(Cost.properties, { description: 'Of the first artifact, where the recipe limits it.' }),
    ),
    controls: Type.Optional(
      Type.Array(
        Type.Object({
          name: Type.Enum(['original', 'uniform', 'random']),
          widths: Type.Array(Type.Integer(), { description: 'Channels, in the order of `widths`.' }),
          macs: Type.Integer(),
          parameters: Type.Integer(),
          sizeBytes: Type.Integer(),
          accuracy: nullable(Type.Number({ description: 'In the metric of the report.' })),
          drop: nullable(Type.Number()),
          pairedStandardError: nullable(Type.Number()),
          heldOutLoss: Type.Number({ description: 'Of the epoch of its training that it is from.' }),
        }),
        { description: 'Networks of other widths, trained in the same way.' },
      ),
    ),
    refined: Type.Optional(
      Type.Object(
        {
          networks: Type.Integer({ description: 'That were measured.' }),
          before: Type.Number({ description: 'Loss of the likeliest widths.' }),
          after: Type.Number({ description: 'Of those in their place.' }),
        },
        { description: 'What exchanging channels behind the search came to, where the recipe asks for it.' },
      ),
    ),
    course: Type.Array(
      Type.Object({
        epoch: Type.Integer(),
        seconds: Type.Number({ description: 'Since the search began.' }),
        trainingLoss: Type.Number({ description: 'Mean over the epoch, on the samples that weights are trained on.' }),
        choiceLoss: Type.Number({ description: 'The same on those that decide, without budgets.' }),
        temperature: Type.Number(),
        macs: Type.Number({ description: 'Of the likeliest widths, as a share of the limit.' }),
        parameters: Type.Number({ description: 'The same.' }),
        bytes: Type.Optional(Type.Number({ description: 'The same, where the recipe limits them.' })),
        choices: Type.Array(
          Type.Object({
            channels: Type.Array(Type.Integer(), { description: 'Candidates, ascending; more join.' }),
            probabilities: Type.Array(Type.Number()),
          }),
          { description: 'In the order of `widths`.' },
        ),
      }),
    ),
  },
  { description: 'The search for numbers of channels, with the method nce.' },
);
export type NceReport = Static<typeof NceReport>;
