import type { Nce, Recipe } from '@tritforge/contracts';

/** The flags that say how to search for numbers of channels; any of them asks for it. */
export interface NceFlags {
  readonly nceEpochs?: number;
  readonly nceMinutes?: number;
  /** Times those of the model. */
  readonly nceMaxMacs?: number;
  readonly nceMaxParameters?: number;
}

/** The search of a recipe, changed by the flags; nothing where no flag is about it. */
export function withNce({ nce = {} }: Recipe, flags: NceFlags): Pick<Recipe, 'nce'> {
  const { nceEpochs, nceMinutes, nceMaxMacs, nceMaxParameters } = flags;
  const length = {
    ...(nceEpochs !== undefined && { epochs: nceEpochs }),
    ...(nceMinutes !== undefined && { minutes: nceMinutes }),
  };
  const budgets = {
    ...(nceMaxMacs !== undefined && { macs: nceMaxMacs }),
    ...(nceMaxParameters !== undefined && { parameters: nceMaxParameters }),
  };
  const [isOtherLength, hasBudgets] = [length, budgets].map((given) => Object.keys(given).length > 0);
  if (!isOtherLength && !hasBudgets) return {};
  return {
    nce: {
      ...(isOtherLength ? { ...withoutLength(nce), ...length } : nce),
      ...(hasBudgets && { budgets: { ...nce.budgets, ...budgets } }),
    },
  };
}

function withoutLength({ epochs: _, minutes: __, ...rest }: Nce): Nce {
  return rest;
}
