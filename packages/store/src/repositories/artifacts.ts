import type { Artifact } from '@tritforge/contracts';

/** Artifacts are written by `JobRepository.finish`, together with the end of their job. */
export interface ArtifactRepository {
  get(id: string): Promise<Artifact | null>;
  /** The artifacts of a job in the order in which the job gave them. */
  listByJob(jobId: string): Promise<Artifact[]>;
}
