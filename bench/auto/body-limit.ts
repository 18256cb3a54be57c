import type { Recipe } from '@tritforge/contracts';
import { inspectModelInChild } from '@tritforge/quant-core/process';

const LIMITS = { memoryBytes: 2 ** 32, wallClockMs: 600_000 };

/**
 * A search for the most accurate network whose body has so many bits per weight: all layers but the first, the last and
 * depthwise ones, which get 8 bits.
 */
export async function withinBodyBits(modelPath: string, bodyBits: number): Promise<Pick<Recipe, 'layers' | 'search'>> {
  const { layers } = await inspectModelInChild(modelPath, { limits: LIMITS });
  const ends = [layers[0]!, layers.at(-1)!];
  let [bits, weights] = [0, 0];
  for (const layer of layers) {
    const isBody = !ends.includes(layer) && !layer.depthwise;
    // The scales of the channels are counted with the codes.
    bits += isBody ? bodyBits * layer.parameters : 8 * layer.parameters + 32 * layer.shape[0]!;
    weights += layer.parameters;
  }
  return {
    search: { maxBitsPerWeight: bits / weights },
    layers: ends.map(({ node }) => ({ match: { name: node }, set: { bits: 8 } })),
  };
}
