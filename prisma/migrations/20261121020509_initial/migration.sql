-- CreateEnum
CREATE TYPE "job_state" AS ENUM ('queued', 'running', 'succeeded', 'failed', 'canceled', 'expired');

-- CreateTable
CREATE TABLE "models" (
    "id" TEXT NOT NULL,
    "content_key" TEXT NOT NULL,
    "file_name" TEXT NOT NULL,
    "size_bytes" BIGINT NOT NULL,
    "digest" TEXT NOT NULL,
    "summary" JSON NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "models_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "model_files" (
    "model_id" TEXT NOT NULL,
    "position" INTEGER NOT NULL,
    "name" TEXT NOT NULL,
    "size_bytes" BIGINT NOT NULL,
    "digest" TEXT NOT NULL,

    CONSTRAINT "model_files_pkey" PRIMARY KEY ("model_id","position")
);

-- CreateTable
CREATE TABLE "datasets" (
    "id" TEXT NOT NULL,
    "content_key" TEXT NOT NULL,
    "file_name" TEXT NOT NULL,
    "size_bytes" BIGINT NOT NULL,
    "digest" TEXT NOT NULL,
    "preprocess" JSON,
    "summary" JSON NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "datasets_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "jobs" (
    "id" TEXT NOT NULL,
    "state" "job_state" NOT NULL DEFAULT 'queued',
    "phase" TEXT,
    "progress" JSON,
    "model_id" TEXT NOT NULL,
    "calibration_dataset_id" TEXT,
    "evaluation_dataset_id" TEXT,
    "recipe" JSON NOT NULL,
    "metric" TEXT,
    "gates" JSON,
    "gates_passed" BOOLEAN,
    "gate_results" JSON NOT NULL DEFAULT '[]',
    "deadline_seconds" INTEGER,
    "labels" JSONB NOT NULL DEFAULT '{}',
    "error" JSON,
    "engine_version" TEXT,
    "attempts" INTEGER NOT NULL DEFAULT 0,
    "worker_id" TEXT,
    "claim_token" TEXT,
    "lease_until" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT clock_timestamp(),
    "queued_at" TIMESTAMPTZ(3) NOT NULL DEFAULT clock_timestamp(),
    "started_at" TIMESTAMPTZ(3),
    "finished_at" TIMESTAMPTZ(3),

    CONSTRAINT "jobs_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "job_reports" (
    "job_id" TEXT NOT NULL,
    "report" JSON NOT NULL,

    CONSTRAINT "job_reports_pkey" PRIMARY KEY ("job_id")
);

-- CreateTable
CREATE TABLE "job_events" (
    "id" BIGSERIAL NOT NULL,
    "job_id" TEXT NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL DEFAULT clock_timestamp(),
    "from_state" "job_state",
    "to_state" "job_state" NOT NULL,
    "phase" TEXT,

    CONSTRAINT "job_events_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "artifacts" (
    "id" TEXT NOT NULL,
    "job_id" TEXT NOT NULL,
    "position" INTEGER NOT NULL,
    "profile" TEXT NOT NULL,
    "file_name" TEXT NOT NULL,
    "size_bytes" BIGINT NOT NULL,
    "digest" TEXT NOT NULL,
    "opset" INTEGER NOT NULL,
    "ir_version" INTEGER NOT NULL,
    "requires" JSON NOT NULL,
    "bits_per_weight" JSON NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "artifacts_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "artifact_files" (
    "artifact_id" TEXT NOT NULL,
    "position" INTEGER NOT NULL,
    "name" TEXT NOT NULL,
    "size_bytes" BIGINT NOT NULL,
    "digest" TEXT NOT NULL,

    CONSTRAINT "artifact_files_pkey" PRIMARY KEY ("artifact_id","position")
);

-- CreateIndex
CREATE UNIQUE INDEX "models_content_key_key" ON "models"("content_key");

-- CreateIndex
CREATE INDEX "model_files_digest_idx" ON "model_files"("digest");

-- CreateIndex
CREATE UNIQUE INDEX "datasets_content_key_key" ON "datasets"("content_key");

-- CreateIndex
CREATE INDEX "datasets_digest_idx" ON "datasets"("digest");

-- CreateIndex
CREATE INDEX "jobs_state_id_idx" ON "jobs"("state", "id");

-- CreateIndex
CREATE INDEX "jobs_model_id_idx" ON "jobs"("model_id");

-- CreateIndex
CREATE INDEX "jobs_calibration_dataset_id_idx" ON "jobs"("calibration_dataset_id");

-- CreateIndex
CREATE INDEX "jobs_evaluation_dataset_id_idx" ON "jobs"("evaluation_dataset_id");

-- CreateIndex
CREATE INDEX "jobs_labels_idx" ON "jobs" USING GIN ("labels" jsonb_path_ops);

-- CreateIndex
CREATE INDEX "job_events_job_id_id_idx" ON "job_events"("job_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "artifacts_job_id_position_key" ON "artifacts"("job_id", "position");

-- CreateIndex
CREATE INDEX "artifact_files_digest_idx" ON "artifact_files"("digest");

-- AddForeignKey
ALTER TABLE "model_files" ADD CONSTRAINT "model_files_model_id_fkey" FOREIGN KEY ("model_id") REFERENCES "models"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "job_reports" ADD CONSTRAINT "job_reports_job_id_fkey" FOREIGN KEY ("job_id") REFERENCES "jobs"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "job_events" ADD CONSTRAINT "job_events_job_id_fkey" FOREIGN KEY ("job_id") REFERENCES "jobs"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "artifacts" ADD CONSTRAINT "artifacts_job_id_fkey" FOREIGN KEY ("job_id") REFERENCES "jobs"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "artifact_files" ADD CONSTRAINT "artifact_files_artifact_id_fkey" FOREIGN KEY ("artifact_id") REFERENCES "artifacts"("id") ON DELETE CASCADE ON UPDATE CASCADE;
