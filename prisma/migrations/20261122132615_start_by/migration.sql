-- AlterTable
ALTER TABLE "jobs" ADD COLUMN     "start_by" TIMESTAMPTZ(3);
