/**
 * Optimisers on one vector of parameters θ with gradient g, step t = 1, 2, …, learning rate η, decay λ:
 *
 *   SGD     v ← μv + (g + λθ)         θ ← θ − ηv,  Nesterov θ ← θ − η(g + λθ + μv)
 *   AdamW   m ← β₁m + (1−β₁)g         s ← β₂s + (1−β₂)g²
 *           θ ← θ − η( (m / (1−β₁ᵗ)) / (√(s / (1−β₂ᵗ)) + ε) + λθ )
 *
 * Sources: Sutskever et al. 2013, §2, as PyTorch writes it; Loshchilov and Hutter 2019, algorithm 2. Decay and learning rate may
 * differ from parameter to parameter. State is float32; the same steps on the same numbers give the same bits everywhere.
 */

/** How a range of the parameter vector is updated. */
export interface ParameterGroup {
  /** First element, and the one after the last. */
  readonly begin: number;
  readonly end: number;
  /** Times the learning rate of the step. */
  readonly rate: number;
  /** λ; 0 for biases and scales. */
  readonly decay: number;
}

export type OptimiserSettings =
  | { readonly kind: 'sgd'; readonly momentum: number; readonly nesterov: boolean }
  | { readonly kind: 'adamw'; readonly betas: readonly [number, number]; readonly epsilon: number };

/** What an optimiser remembers, to be saved and loaded again. */
export interface OptimiserState {
  readonly steps: number;
  /** v, or m and s. */
  readonly moments: readonly Float32Array[];
}

export class Optimiser {
  readonly #settings: OptimiserSettings;
  readonly #groups: readonly ParameterGroup[];
  #steps: number;
  readonly #moments: readonly Float32Array[];

  /** @param state of an optimiser with the same settings; zeros when left out */
  constructor(settings: OptimiserSettings, groups: readonly ParameterGroup[], length: number, state?: OptimiserState) {
    this.#settings = settings;
    this.#groups = groups;
    this.#steps = state?.steps ?? 0;
    const count = settings.kind === 'sgd' ? 1 : 2;
    this.#moments = Array.from({ length: count }, (_, i) => state?.moments[i]?.slice() ?? new Float32Array(length));
  }

  get state(): OptimiserState {
    return { steps: this.#steps, moments: this.#moments };
  }

  /** Changes the parameters in place. */
  step(parameters: Float32Array, gradient: Float32Array, learningRate: number): void {
    this.#steps++;
    for (const group of this.#groups) {
      const rate = group.rate * learningRate;
      if (this.#settings.kind === 'sgd') this.#sgd(this.#settings, { parameters, gradient, rate, group });
      else this.#adamw(this.#settings, { parameters, gradient, rate, group });
    }
  }

  #sgd(
    { momentum, nesterov }: OptimiserSettings & { kind: 'sgd' },
    { parameters, gradient, rate, group }: Update,
  ): void {
    const velocity = this.#moments[0]!;
    const { begin, end, decay } = group;
    for (let i = begin; i < end; i++) {
      const g = gradient[i]! + decay * parameters[i]!;
      const v = momentum * velocity[i]! + g;
      velocity[i] = v;
      parameters[i]! -= rate * (nesterov ? g + momentum * v : v);
    }
  }

  #adamw(
    { betas, epsilon }: OptimiserSettings & { kind: 'adamw' },
    { parameters, gradient, rate, group }: Update,
  ): void {
    const [first, second] = this.#moments as [Float32Array, Float32Array];
    const [beta1, beta2] = betas;
    const [bias1, bias2] = [1 - beta1 ** this.#steps, 1 - beta2 ** this.#steps];
    for (let i = group.begin; i < group.end; i++) {
      const g = gradient[i]!;
      const m = beta1 * first[i]! + (1 - beta1) * g;
      const s = beta2 * second[i]! + (1 - beta2) * g * g;
      first[i] = m;
      second[i] = s;
      parameters[i]! -= rate * (m / bias1 / (Math.sqrt(s / bias2) + epsilon) + group.decay * parameters[i]!);
    }
  }
}

interface Update {
  readonly parameters: Float32Array;
  readonly gradient: Float32Array;
  readonly rate: number;
  readonly group: ParameterGroup;
}

/**
 * Scales a gradient down to a Euclidean norm, in place.
 * @returns its norm before
 */
export function clipNorm(gradient: Float32Array, most: number): number {
  const norm = normOf(gradient);
  if (norm > most) for (let i = 0; i < gradient.length; i++) gradient[i]! *= most / norm;
  return norm;
}

/** Euclidean. */
export function normOf(vector: Float32Array): number {
  let sum = 0;
  for (const value of vector) sum += value * value;
  return Math.sqrt(sum);
}

/**
 * Moves parameters a share of the way back to where they started, in place. Steps of Adam are as long where gradients are noise: without a
 * pull, parameters wander ever farther the longer a training is.
 *
 * Source: Li et al. 2018 (L2-SP), eq. 4, decoupled from the gradient as in AdamW.
 */
export function pullBack(parameters: Float32Array, start: Float32Array, share: number): void {
  for (let i = 0; i < parameters.length; i++) parameters[i]! += share * (start[i]! - parameters[i]!);
}

/** An exponential moving average of parameters, in place: a ← δa + (1 − δ)θ. */
export function averageInto(average: Float32Array, parameters: Float32Array, decay: number): void {
  for (let i = 0; i < average.length; i++) average[i] = decay * average[i]! + (1 - decay) * parameters[i]!;
}
