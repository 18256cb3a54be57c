-- AlterTable
ALTER TABLE "jobs" ADD COLUMN     "trace_context" JSON;

-- AlterTable
ALTER TABLE "webhook_deliveries" ADD COLUMN     "trace_context" JSON;
