-- AlterTable
ALTER TABLE "uploads" ADD COLUMN     "bucket_upload" TEXT,
ADD COLUMN     "digest" TEXT,
ADD COLUMN     "finished_at" TIMESTAMPTZ(3),
ADD COLUMN     "part_bytes" BIGINT;
