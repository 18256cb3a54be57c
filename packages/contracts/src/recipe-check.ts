import type { ResolvedFineTune } from './fine-tune.js';
import { isUniform, type LayerSettings, type Recipe, resolveRecipe } from './recipe.js';
import { TritforgeError } from './tritforge-error.js';

/**
 * Finds contradictions in a recipe that its schema cannot express. What depends on the model, such as selectors that
 * match no layer, shows when the job runs.
 *
 * @throws TritforgeError RECIPE_INVALID with the field
 */
export function checkRecipe(recipe: Recipe): void {
  const { method, paper, firstLast, activations, layers, fineTune } = resolveRecipe(recipe);
  const fewest = method === 'int8' ? 8 : method === 'int4' ? 4 : 2;
  if (firstLast.bits !== null && firstLast.bits < fewest) {
    throw contradiction(
      'recipe.firstLast.bits',
      `asks for weights of ${firstLast.bits} bits, which the method ${method} does not make`,
      'Choose the method fgq, or leave firstLast.bits at 8.',
    );
  }
  if (activations.minimumSqnrDb !== null && (activations.bits === null || activations.bits === 8)) {
    throw contradiction(
      'recipe.activations.minimumSqnrDb',
      'has a meaning for activations of 4, 3 or 2 bits only',
      'Set recipe.activations.bits to 4, 3 or 2, or leave minimumSqnrDb out.',
    );
  }
  if (paper) checkPaper(recipe);
  if (isUniform(method)) checkUniform(recipe);
  checkNce(recipe);
  if (fineTune !== null) checkFineTune(fineTune);
  if (method === 'auto') checkAuto(recipe);
  else if (recipe.search !== undefined) {
    throw contradiction(
      'recipe.search',
      `has no meaning with the method ${method}`,
      'Choose the method auto, or drop search.',
    );
  }
  layers.forEach(({ set }, index) => {
    checkLayerSettings(set, `recipe.layers.${index}.set`);
    if (isUniform(method)) checkPlanesOfUniform(set, `recipe.layers.${index}.set`);
  });
}

/** What was published leaves open only the group size, the bits of activations and the choice of layers. */
function checkPaper(recipe: Recipe): void {
  const { method, weights, activations, firstLast, correction, equalize, nce, fineTune, layers } =
    resolveRecipe(recipe);
  const asPublished: readonly (readonly [field: string, given: unknown, published: unknown])[] = [
    ['method', method, 'fgq'],
    ['weights.solver', weights.solver, 'exact'],
    ['weights.target', weights.target, 'weights'],
    ['weights.residualPlanes', weights.residualPlanes, 0],
    ['activations.range', activations.range, 'dfp'],
    ['activations.shortcuts', activations.shortcuts, 'narrow'],
    ['activations.minimumSqnrDb', activations.minimumSqnrDb, null],
    ['firstLast.bits', firstLast.bits, 8],
    ['correction', correction.length, 0],
    ['equalize', equalize, false],
    ['nce', nce, null],
    ['fineTune', fineTune, null],
    ['activations.bits', activations.bits === 2 || activations.bits === 3, false],
    ...layers.flatMap(({ set }, index) => [
      [`layers.${index}.set.planes`, set.planes ?? 1, 1] as const,
      [`layers.${index}.set.groupSize`, set.groupSize === null, false] as const,
      [`layers.${index}.set.activationBits`, set.activationBits === 2 || set.activationBits === 3, false] as const,
    ]),
  ];
  for (const [field, given, published] of asPublished) {
    if (given === published) continue;
    throw contradiction(
      `recipe.${field}`,
      'is not as published, which recipe.paper asks for',
      `Drop recipe.paper, or leave ${field} out.`,
    );
  }
}

function checkFineTune({ epochs, minutes, loss, labels, batch, workers, augment }: ResolvedFineTune): void {
  if (epochs !== null && minutes !== null) {
    throw contradiction(
      'recipe.fineTune.minutes',
      'limits what recipe.fineTune.epochs limits already',
      'Keep epochs, for the same artifact each time, or minutes.',
    );
  }
  if (labels > 0 && loss === 'mse') {
    throw contradiction(
      'recipe.fineTune.labels',
      'is for scores of classes, and recipe.fineTune.loss is mse',
      'Choose the loss distill, or leave labels out.',
    );
  }
  if (labels > 0 && augment.mix) {
    throw contradiction(
      'recipe.fineTune.augment.mix',
      'mixes samples, and recipe.fineTune.labels says what each of them is',
      'Leave mix out, or labels.',
    );
  }
  if (batch % workers !== 0) {
    throw contradiction(
      'recipe.fineTune.batch',
      `is ${batch}, which ${workers} workers cannot share equally`,
      `Choose a multiple of ${workers}, or another number of workers.`,
    );
  }
}

/** Weights with one scale per output channel have neither groups nor planes. */
function checkUniform({ method, weights }: Recipe): void {
  for (const field of ['groupSize', 'residualPlanes'] as const) {
    if (weights?.[field] === undefined) continue;
    throw contradiction(
      `recipe.weights.${field}`,
      `has no meaning with the method ${method}, whose weights have one scale per output channel`,
      `Leave ${field} out, choose the method fgq, or set groupSize in rules for ternary layers.`,
    );
  }
}

function checkNce({ method, nce, fineTune, equalize, sensitivity }: Recipe): void {
  if (method !== 'nce' && nce === undefined) return;
  if (method === 'auto') {
    throw contradiction(
      'recipe.nce',
      'looks for channels at precisions that are settled, and the method auto looks for precisions',
      'Choose the method nce, uniform, fgq, int4 or int8, or drop nce.',
    );
  }
  if (nce?.epochs !== undefined && nce.minutes !== undefined) {
    throw contradiction(
      'recipe.nce.minutes',
      'limits what recipe.nce.epochs limits already',
      'Keep epochs, for the same artifact each time, or minutes.',
    );
  }
  if (nce?.widths !== undefined) checkWidths(nce);
  const cap = nce?.expansion?.cap ?? 2;
  if (nce?.candidates?.some((share) => share > cap)) {
    throw contradiction(
      'recipe.nce.candidates',
      `has candidates above recipe.nce.expansion.cap, which is ${cap}`,
      'Raise cap, or leave them out.',
    );
  }
  const foreign = [
    ['fineTune.features', fineTune?.features !== undefined, 'compares layers that have other numbers of channels then'],
    ['equalize', equalize === true, 'is for networks whose channels stay'],
    ['sensitivity', sensitivity === true, 'is measured on the network as it is, and nce changes it'],
  ] as const;
  for (const [field, isGiven, why] of foreign)
    if (isGiven) throw contradiction(`recipe.${field}`, why, `Leave ${field} out, or nce.`);
}

/** Where widths are given nothing is searched. */
function checkWidths({ epochs, minutes, inherit, start, refine }: NonNullable<Recipe['nce']>): void {
  const searching = [
    ['epochs', epochs !== undefined],
    ['minutes', minutes !== undefined],
    ['inherit', inherit === 'supernet'],
    ['start', start === 'none'],
    ['refine', refine === true],
  ] as const;
  for (const [field, isGiven] of searching)
    if (isGiven) {
      throw contradiction(
        `recipe.nce.${field}`,
        'is of the search, which recipe.nce.widths takes the place of',
        `Leave ${field} out, or widths.`,
      );
    }
}

function checkPlanesOfUniform({ planes, groupSize }: LayerSettings, field: string): void {
  if (planes === undefined || typeof groupSize === 'number') return;
  throw contradiction(
    `${field}.planes`,
    'has no meaning for uniform weights: only ternary weights have planes',
    'Leave planes out, or set groupSize along with it, which gives ternary weights.',
  );
}

/** A search chooses these itself; rules settle single layers. */
function checkAuto({ weights, activations, firstLast, fineTune, layers }: Recipe): void {
  const chosen: readonly (readonly [field: string, given: unknown])[] = [
    ['weights.groupSize', weights?.groupSize],
    ['weights.residualPlanes', weights?.residualPlanes],
    ['firstLast', firstLast],
  ];
  if (fineTune !== undefined) {
    throw contradiction(
      'recipe.fineTune',
      'follows a recipe whose precisions are settled, and the method auto looks for them',
      'Search without fineTune first, then fine-tune the recipe of a point of the frontier.',
    );
  }
  const uniform: readonly (readonly [field: string, given: unknown, searched: unknown])[] = [
    ['activations.bits', activations?.bits === 2 || activations?.bits === 3, false],
    ...(layers ?? []).flatMap(({ set }, index) => [
      [`layers.${index}.set.groupSize`, set.groupSize === null, false] as const,
      [`layers.${index}.set.activationBits`, set.activationBits === 2 || set.activationBits === 3, false] as const,
    ]),
  ];
  for (const [field, given, searched] of uniform) {
    if (given === searched) continue;
    throw contradiction(
      `recipe.${field}`,
      'asks for uniform weights or inputs of 3 or 2 bits, among which the method auto does not search',
      'Choose the method uniform, or leave it out.',
    );
  }
  for (const [field, given] of chosen) {
    if (given === undefined) continue;
    throw contradiction(
      `recipe.${field}`,
      'is what the method auto chooses',
      `Drop ${field}; to settle layers, add a rule such as { "match": { "name": "*" }, "set": { "groupSize": 64 } }.`,
    );
  }
}

function checkLayerSettings({ exclude, ...precision }: LayerSettings, field: string): void {
  const { bits, groupSize, planes, activationBits } = precision;
  if (exclude && Object.keys(precision).length > 0) {
    throw contradiction(
      field,
      'excludes the layer and sets its precision at once',
      'Keep either exclude, or bits, groupSize, planes and activationBits.',
    );
  }
  if (bits === null && activationBits !== undefined) {
    throw contradiction(
      `${field}.activationBits`,
      'has no meaning for a layer in floating point',
      'Leave activationBits out, or set bits to 2 or 8.',
    );
  }
  if (typeof groupSize === 'number' && (bits === 8 || bits === null)) {
    throw contradiction(
      `${field}.groupSize`,
      `has no meaning with ${bits} bits: only ternary and int4 weights have groups`,
      'Leave groupSize out, or set bits to 2 or 4.',
    );
  }
  if (groupSize === null && ((bits !== undefined && bits !== 2) || planes !== undefined)) {
    throw contradiction(
      `${field}.groupSize`,
      `is null, which is uniform 2-bit weights, along with ${planes === undefined ? `${bits} bits` : 'planes'}`,
      'Leave groupSize out, or the other.',
    );
  }
  if (planes !== undefined && bits !== undefined && bits !== 2) {
    throw contradiction(
      `${field}.planes`,
      `has no meaning with ${bits} bits: only ternary weights have planes`,
      'Leave planes out, or set bits to 2.',
    );
  }
}

function contradiction(field: string, message: string, remediation: string): TritforgeError {
  return new TritforgeError('RECIPE_INVALID', `${field} ${message}`, { field, remediation });
}
