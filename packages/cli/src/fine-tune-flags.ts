import type { FineTune, FineTuneLoss, Recipe } from '@tritforge/contracts';

/** The flags that say how to fine-tune; any of them asks for it. */
export interface FineTuneFlags {
  /** Path of the samples to train on. */
  readonly training?: string;
  /** Minutes; true where the flag has no number. */
  readonly fineTune?: number | true;
  readonly fineTuneEpochs?: number;
  readonly fineTuneLoss?: FineTuneLoss;
  readonly fineTuneLearningRate?: number;
  readonly fineTuneBatch?: number;
  readonly fineTuneWorkers?: number;
  readonly fineTuneShift?: number;
  readonly fineTuneMirror?: boolean;
  readonly fineTuneMix?: boolean;
}

/** The training of a recipe, changed by the flags; nothing where no flag is about it. */
export function withFineTune({ fineTune = {} }: Recipe, flags: FineTuneFlags): Pick<Recipe, 'fineTune'> {
  const length = lengthOf(flags);
  const settings = settingsOf(flags);
  const augment = augmentOf(flags);
  const isAskedFor = flags.training !== undefined || flags.fineTune !== undefined;
  if (!isAskedFor && [length, settings, augment].every((given) => Object.keys(given).length === 0)) return {};
  const { epochs, minutes, ...base } = fineTune;
  const isOtherLength = Object.keys(length).length > 0;
  const baseLength = { ...(epochs !== undefined && { epochs }), ...(minutes !== undefined && { minutes }) };
  return {
    fineTune: {
      ...base,
      ...(isOtherLength ? length : baseLength),
      ...settings,
      ...(Object.keys(augment).length > 0 && { augment: { ...base.augment, ...augment } }),
    },
  };
}

function lengthOf({ fineTune: minutes, fineTuneEpochs: epochs }: FineTuneFlags): Pick<FineTune, 'epochs' | 'minutes'> {
  return { ...(epochs !== undefined && { epochs }), ...(typeof minutes === 'number' && { minutes }) };
}

function settingsOf(flags: FineTuneFlags): Pick<FineTune, 'loss' | 'learningRate' | 'batch' | 'workers'> {
  const {
    fineTuneLoss: loss,
    fineTuneLearningRate: learningRate,
    fineTuneBatch: batch,
    fineTuneWorkers: workers,
  } = flags;
  return {
    ...(loss && { loss }),
    ...(learningRate !== undefined && { learningRate }),
    ...(batch !== undefined && { batch }),
    ...(workers !== undefined && { workers }),
  };
}

function augmentOf({ fineTuneShift: shift, fineTuneMirror: mirror, fineTuneMix: mix }: FineTuneFlags) {
  return { ...(shift !== undefined && { shift }), ...(mirror && { mirror }), ...(mix && { mix }) };
}
