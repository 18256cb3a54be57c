/**
 * Numbers of channels that a search may choose. Each stands for a class of axes that must be equally long; classes merge where the
 * network ties them.
 */

/** Why axes are equally long, or why they stay as long as they are. */
export interface Reason {
  /** Name of the node that asks for it. */
  readonly node: string;
  readonly why: string;
}

/** Stands for a class; two of them may stand for the same one: see {@link WidthTable.of}. */
export type WidthId = number;

export interface Width {
  readonly id: WidthId;
  /** In the network as it is. */
  readonly channels: number;
  /** Nodes whose output channels it counts, in the order of the graph. */
  readonly layers: readonly string[];
  readonly ties: readonly Reason[];
  /** Why it must not change; empty where it may. */
  readonly pins: readonly Reason[];
  /** It must be a multiple of this. */
  readonly multipleOf: number;
}

/** Its channels times a factor: the nearest number that it may have. */
export function scaledWidth({ channels, multipleOf }: Width, factor: number): number {
  return multipleOf * Math.max(Math.round((factor * channels) / multipleOf), 1);
}

interface Class {
  parent: WidthId;
  channels: number;
  layers: string[];
  ties: Reason[];
  pins: Reason[];
  multipleOf: number;
}

export class WidthTable {
  readonly #classes: Class[] = [];

  /** @param layer that makes these channels; null where none does, so that they cannot be chosen by themselves */
  create(channels: number, layer: string | null): WidthId {
    const id = this.#classes.length;
    const layers = layer === null ? [] : [layer];
    this.#classes.push({ parent: id, channels, layers, ties: [], pins: [], multipleOf: 1 });
    return id;
  }

  /** @throws Error for classes of different lengths */
  tie(a: WidthId, b: WidthId, reason: Reason): void {
    const [first, second] = [this.#root(a), this.#root(b)].toSorted((x, y) => x - y) as [WidthId, WidthId];
    const [into, from] = [this.#classes[first]!, this.#classes[second]!];
    if (into.channels !== from.channels)
      throw new Error(`${reason.node}: ${into.channels} channels are not ${from.channels}`);
    into.ties.push(reason);
    if (first === second) return;
    from.parent = first;
    into.layers.push(...from.layers);
    into.ties.push(...from.ties);
    into.pins.push(...from.pins);
    into.multipleOf = leastCommonMultiple(into.multipleOf, from.multipleOf);
  }

  /** Notes what would tie axes that are one class by construction. */
  note(id: WidthId, reason: Reason): void {
    this.#classes[this.#root(id)]!.ties.push(reason);
  }

  pin(id: WidthId, reason: Reason): void {
    this.#classes[this.#root(id)]!.pins.push(reason);
  }

  restrict(id: WidthId, multipleOf: number): void {
    const found = this.#classes[this.#root(id)]!;
    found.multipleOf = leastCommonMultiple(found.multipleOf, multipleOf);
  }

  /** The class; its id is the same for all that are tied. */
  of(id: WidthId): Width {
    const { parent: root, ...found } = this.#classes[this.#root(id)]!;
    return { id: root, ...found };
  }

  /** Every class once, in the order of their first layers. */
  all(): Width[] {
    return this.#classes.flatMap((found, id) => (found.parent === id ? [this.of(id)] : []));
  }

  #root(id: WidthId): WidthId {
    let at = id;
    while (this.#classes[at]!.parent !== at) at = this.#classes[at]!.parent;
    return at;
  }
}

function leastCommonMultiple(a: number, b: number): number {
  return (a / greatestCommonDivisor(a, b)) * b;
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
