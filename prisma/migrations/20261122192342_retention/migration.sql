-- AlterTable
ALTER TABLE "datasets" ADD COLUMN     "expires_at" TIMESTAMPTZ(3);

-- AlterTable
ALTER TABLE "jobs" ADD COLUMN     "expires_at" TIMESTAMPTZ(3),
ADD COLUMN     "kept_seconds" INTEGER;

-- AlterTable
ALTER TABLE "models" ADD COLUMN     "expires_at" TIMESTAMPTZ(3);

-- CreateTable
CREATE TABLE "past_runs" (
    "job_id" TEXT NOT NULL,
    "project_id" TEXT NOT NULL,
    "key_id" TEXT,
    "model_id" TEXT NOT NULL,
    "method" TEXT,
    "succeeded" BOOLEAN NOT NULL,
    "started_at" TIMESTAMPTZ(3) NOT NULL,
    "finished_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "past_runs_pkey" PRIMARY KEY ("job_id")
);

-- CreateIndex
CREATE INDEX "past_runs_finished_at_idx" ON "past_runs"("finished_at");

-- CreateIndex
CREATE INDEX "datasets_expires_at_idx" ON "datasets"("expires_at");

-- CreateIndex
CREATE INDEX "jobs_expires_at_idx" ON "jobs"("expires_at");

-- CreateIndex
CREATE INDEX "models_expires_at_idx" ON "models"("expires_at");
