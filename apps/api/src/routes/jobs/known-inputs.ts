import { DATASET_ROLES, type Dataset, type JobRequest, type Model } from '@tritforge/contracts';
import { lookUp } from '../../http/lookup.js';
import type { Access } from '../../plugins/authentication.js';
import { Remembered } from './remembered.js';

/** What the check of a job needs of a model. */
export type KnownModel = Pick<Model['summary'], 'inputs'>;
/** And of a dataset. */
export type KnownDataset = Pick<Dataset, 'id' | 'fileName' | 'digest' | 'preprocess' | 'summary'>;

/** Whose they are. */
type Owner = Pick<Access, 'projectId' | 'store'>;

/**
 * Remembers what jobs are checked against, since pipelines send jobs on the same model and data all day and none of it changes. Whether they
 * are still there the database says when it writes the job; `lookAgain` says it in place of any other failure.
 */
export class KnownInputs {
  readonly #models: Remembered<KnownModel>;
  readonly #datasets: Remembered<KnownDataset>;

  /** @param limit how many models and how many datasets are remembered; those that nobody asked for longest are forgotten */
  constructor(limit: number) {
    this.#models = new Remembered(limit);
    this.#datasets = new Remembered(limit);
  }

  /** @throws TritforgeError MODEL_NOT_FOUND */
  model({ projectId, store }: Owner, id: string): Promise<KnownModel> {
    return this.#models.get(`${projectId} ${id}`, async () => {
      const { inputs } = (await lookUp('model', id, (known) => store.models.get(known))).summary;
      return { inputs };
    });
  }

  /** @throws TritforgeError DATASET_NOT_FOUND */
  dataset({ projectId, store }: Owner, id: string): Promise<KnownDataset> {
    return this.#datasets.get(`${projectId} ${id}`, async () => {
      const found = await lookUp('dataset', id, (known) => store.datasets.get(known));
      const { fileName, digest, preprocess, summary } = found;
      return { id, fileName, digest, preprocess, summary };
    });
  }

  /**
   * Looks for everything that a job names as if nothing of it were known.
   * @throws TritforgeError MODEL_NOT_FOUND, DATASET_NOT_FOUND
   */
  async lookAgain(owner: Owner, { modelId, datasets = {} }: JobRequest): Promise<void> {
    const ids = DATASET_ROLES.flatMap((role) => datasets[role] ?? []);
    this.#models.forget(`${owner.projectId} ${modelId}`);
    for (const id of ids) this.#datasets.forget(`${owner.projectId} ${id}`);
    await this.model(owner, modelId);
    for (const id of ids) await this.dataset(owner, id);
  }
}
