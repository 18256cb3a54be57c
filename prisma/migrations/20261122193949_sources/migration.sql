-- AlterTable
ALTER TABLE "datasets" ADD COLUMN     "source" TEXT;

-- AlterTable
ALTER TABLE "models" ADD COLUMN     "source" TEXT;
