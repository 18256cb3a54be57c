import { Prisma } from '../database.js';

/** Whose rows a repository sees, as a condition on them: those of one project, or all. */
export interface Reach {
  readonly projectId?: string;
}

/** For workers and for what keeps the service in order. */
export const ALL_PROJECTS: Reach = {};

/** The project that the tables are made with. What nobody gave a project belongs to it. */
export const DEFAULT_PROJECT_ID = 'prj_00000000000000000000000000';

/** The project that new rows belong to. */
export function projectOf({ projectId = DEFAULT_PROJECT_ID }: Reach): string {
  return projectId;
}

/** The same as SQL, on a table with the column `project_id`. */
export function within({ projectId }: Reach): Prisma.Sql {
  return projectId === undefined ? Prisma.sql`TRUE` : Prisma.sql`project_id = ${projectId}`;
}
