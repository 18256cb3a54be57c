-- AlterTable
ALTER TABLE "api_keys" ADD COLUMN     "priority" INTEGER NOT NULL DEFAULT 10;

-- AlterTable
ALTER TABLE "jobs" ADD COLUMN     "key_id" TEXT;

-- CreateIndex
CREATE INDEX "jobs_finished_at_idx" ON "jobs"("finished_at");
