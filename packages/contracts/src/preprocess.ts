import Type, { type Static } from 'typebox';

const PerChannel = Type.Union([Type.Number(), Type.Array(Type.Number(), { minItems: 1, maxItems: 4 })]);

/**
 * How raw samples become the model's input. Steps apply in the order of the fields: resize, centre crop, channel order,
 * then per channel `(value * scale - mean) / std`, then layout. Images start as uint8 RGB (or one channel for
 * `channels: "gray"`), arrays as they are stored. What the model's input dtype needs is cast last.
 */
export const Preprocess = Type.Object(
  {
    input: Type.Optional(
      Type.String({ description: 'Model input that receives the images; the only input by default.' }),
    ),
    resize: Type.Optional(
      Type.Object(
        {
          shortSide: Type.Optional(Type.Integer({ minimum: 1, maximum: 8192 })),
          width: Type.Optional(Type.Integer({ minimum: 1, maximum: 8192 })),
          height: Type.Optional(Type.Integer({ minimum: 1, maximum: 8192 })),
          kernel: Type.Optional(Type.Enum(['nearest', 'cubic', 'linear', 'lanczos3'], { default: 'linear' })),
        },
        { additionalProperties: false, description: 'Either shortSide, or width and height, in pixels.' },
      ),
    ),
    centerCrop: Type.Optional(
      Type.Union(
        [
          Type.Integer({ minimum: 1, maximum: 8192 }),
          Type.Object(
            {
              width: Type.Integer({ minimum: 1, maximum: 8192 }),
              height: Type.Integer({ minimum: 1, maximum: 8192 }),
            },
            { additionalProperties: false },
          ),
        ],
        { description: 'Side, or width and height, in pixels, cut from the centre.' },
      ),
    ),
    channels: Type.Optional(Type.Enum(['rgb', 'bgr', 'gray'], { default: 'rgb' })),
    scale: Type.Optional(Type.Number({ default: 1, description: 'Multiplies the raw values, e.g. 1/255.' })),
    mean: Type.Optional(PerChannel),
    std: Type.Optional(PerChannel),
    layout: Type.Optional(
      Type.Enum(['nchw', 'nhwc'], {
        default: 'nchw',
        description: "Layout of the model's input.",
      }),
    ),
  },
  { additionalProperties: false, $id: 'Preprocess' },
);
export type Preprocess = Static<typeof Preprocess>;
