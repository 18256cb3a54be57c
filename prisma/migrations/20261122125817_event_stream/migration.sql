-- AlterTable
ALTER TABLE "job_events" ADD COLUMN     "sequence" BIGINT;

-- CreateIndex
CREATE UNIQUE INDEX "job_events_sequence_key" ON "job_events"("sequence");

-- Places of events.
CREATE SEQUENCE "job_event_sequence";

-- Tells whoever follows jobs that one of them has changed, when the change can be seen.
CREATE FUNCTION "tell_of_job"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('tritforge_jobs', NEW.project_id || ' ' || NEW.id);
  RETURN NULL;
END
$$;

CREATE TRIGGER "tell_of_job" AFTER INSERT OR UPDATE OF "state", "phase", "progress" ON "jobs"
FOR EACH ROW EXECUTE FUNCTION "tell_of_job"();
