-- AlterTable
ALTER TABLE "api_keys" ADD COLUMN     "concurrent_jobs" INTEGER,
ADD COLUMN     "job_minutes_per_day" INTEGER,
ADD COLUMN     "requests_per_minute" INTEGER;

-- AlterTable
ALTER TABLE "projects" ADD COLUMN     "storage_bytes" BIGINT;

-- CreateTable
CREATE TABLE "rate_limits" (
    "key" VARCHAR(255) NOT NULL,
    "points" INTEGER NOT NULL DEFAULT 0,
    "expire" BIGINT,

    CONSTRAINT "rate_limits_pkey" PRIMARY KEY ("key")
);
