-- AlterTable
ALTER TABLE "jobs" ADD COLUMN     "training_dataset_id" TEXT;

-- CreateIndex
CREATE INDEX "jobs_training_dataset_id_idx" ON "jobs"("training_dataset_id");
