/** Widths that somebody names by layers. */
import { TritforgeError } from '@tritforge/contracts';
import type { FixedWidth } from './search-space.js';
import type { WidthGraph } from './widths/width-graph.js';
import type { Width, WidthId } from './widths/width-table.js';

/** The widths that may be named. */
export interface NameableWidths {
  readonly graph: WidthGraph;
  readonly searched: readonly WidthId[];
  readonly fixed: readonly FixedWidth[];
}

/**
 * Channels of each searched width; those of the network where no layer of it is named.
 * @param named channels by the name of a layer's node
 * @throws TritforgeError RECIPE_INVALID for layers that are not there, that cannot be changed, or that contradict each other
 */
export function namedWidths(named: Readonly<Record<string, number>>, of: NameableWidths): Map<WidthId, number> {
  const widths = of.searched.map((id) => of.graph.widthOf(id));
  const chosen = new Map<WidthId, number>(widths.map(({ id, channels }) => [id, channels]));
  const namedBy = new Map<WidthId, string>();
  for (const [layer, channels] of Object.entries(named)) {
    const width = widths.find(({ layers }) => layers.includes(layer));
    if (width === undefined) throw unnameable(layer, of.fixed);
    const before = namedBy.get(width.id);
    if (before !== undefined && named[before] !== channels) throw tied(layer, before, width);
    if (channels % width.multipleOf !== 0)
      throw invalid(layer, `cannot be ${channels}: it is a multiple of ${width.multipleOf}`);
    chosen.set(width.id, channels);
    namedBy.set(width.id, layer);
  }
  return chosen;
}

function unnameable(layer: string, fixed: readonly FixedWidth[]): TritforgeError {
  const found = fixed.find(({ width }) => width.layers.includes(layer));
  if (found === undefined) return invalid(layer, 'cannot be chosen: no layer of that name makes channels');
  const why = found.reasons.map((reason) => `${reason.node} ${reason.why}`).slice(0, 3);
  return invalid(layer, `cannot be changed: ${why.join('; ')}`);
}

function tied(layer: string, other: string, { ties }: Width): TritforgeError {
  const why = ties.map((reason) => `${reason.node} ${reason.why}`).slice(0, 3);
  return invalid(layer, `has to be what ${other} is: ${why.join('; ')}`);
}

function invalid(layer: string, why: string): TritforgeError {
  return new TritforgeError('RECIPE_INVALID', `The number of channels of ${layer} ${why}`, {
    field: 'recipe.nce.widths',
    remediation: 'The report of a search lists the layers whose channels can be chosen, and those that are tied.',
  });
}
