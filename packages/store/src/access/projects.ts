import { newId, PROJECT_NAME, type Project, TritforgeError } from '@tritforge/contracts';
import { Prisma } from '../database.js';
import type { PrismaClient, Project as ProjectRow } from '../generated/client.js';

/** What resources and keys belong to. */
export interface ProjectRepository {
  /**
   * @param storageBytes most bytes of its models, datasets and artifacts; no limit when left out
   * @throws TritforgeError USAGE_INVALID for names that are none, PROJECT_EXISTS
   */
  create(name: string, storageBytes?: number): Promise<Project>;
  /** @throws TritforgeError PROJECT_NOT_FOUND */
  byName(name: string): Promise<Project>;
  /** One that is known to be there; projects are never deleted. */
  byId(id: string): Promise<Project>;
  /** In the order of their names. */
  list(): Promise<Project[]>;
}

const UNIQUE_VIOLATION = 'P2002';

export function createProjectRepository(db: PrismaClient): ProjectRepository {
  return {
    create: async (name, storageBytes) => {
      if (!PROJECT_NAME.test(name)) throw notAName(name);
      try {
        return toProject(
          await db.project.create({ data: { id: newId('project'), name, storageBytes: storageBytes ?? null } }),
        );
      } catch (error) {
        const isKnown = error instanceof Prisma.PrismaClientKnownRequestError && error.code === UNIQUE_VIOLATION;
        throw isKnown ? existsAlready(name) : error;
      }
    },
    byName: async (name) => {
      const row = await db.project.findUnique({ where: { name } });
      if (row) return toProject(row);
      throw new TritforgeError('PROJECT_NOT_FOUND', `There is no project "${name}".`, {
        remediation: '`tritforge admin projects` lists those that there are.',
      });
    },
    byId: async (id) => toProject(await db.project.findUniqueOrThrow({ where: { id } })),
    list: async () => (await db.project.findMany({ orderBy: { name: 'asc' } })).map(toProject),
  };
}

export function toProject({ id, name, createdAt, storageBytes }: ProjectRow): Project {
  const limit = storageBytes === null ? null : Number(storageBytes);
  return { id, name, createdAt: createdAt.toISOString(), storageBytes: limit };
}

function notAName(name: string): TritforgeError {
  return new TritforgeError('USAGE_INVALID', `"${name}" is no name of a project.`, {
    remediation: 'Take up to 63 lower-case letters, digits and dashes, with a letter or digit at both ends.',
  });
}

function existsAlready(name: string): TritforgeError {
  return new TritforgeError('PROJECT_EXISTS', `There is a project "${name}" already.`, {
    remediation: 'Take another name, or make keys for the one that there is.',
  });
}
