-- CreateTable
CREATE TABLE "once_keys" (
    "project_id" TEXT NOT NULL,
    "key" TEXT NOT NULL,
    "fingerprint" TEXT NOT NULL,
    "token" TEXT,
    "lease_until" TIMESTAMPTZ(3),
    "status" INTEGER,
    "headers" JSON,
    "body" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT clock_timestamp(),

    CONSTRAINT "once_keys_pkey" PRIMARY KEY ("project_id","key")
);

-- CreateIndex
CREATE INDEX "once_keys_created_at_idx" ON "once_keys"("created_at");

-- AddForeignKey
ALTER TABLE "once_keys" ADD CONSTRAINT "once_keys_project_id_fkey" FOREIGN KEY ("project_id") REFERENCES "projects"("id") ON DELETE CASCADE ON UPDATE CASCADE;
