"""Quantizes the example model with the generated client: submits, waits, reads the report and downloads the artifacts.

    python quantize_example.py OUT [SERVER]

The API key, where the service asks for one, comes from TRITFORGE_API_KEY. Exits with 3 when a gate failed, with 4 when the job failed.
"""

import hashlib
import json
import os
import pathlib
import sys
import uuid

import httpx

from tritforge_client import AuthenticatedClient, Client
from tritforge_client.api.artifacts import download_artifact
from tritforge_client.api.jobs import create_job, get_job, get_report, list_artifacts_of_job
from tritforge_client.models import CreateJobFilesBody, Job, JobOptions, Problem
from tritforge_client.types import File

EXAMPLE = pathlib.Path(__file__).resolve().parents[2] / "examples" / "shapes"
ENDED = ("succeeded", "failed", "canceled", "expired")


def answer(parsed):
    """What the service answered, unless it refused."""
    if isinstance(parsed, Problem):
        sys.exit(f"{parsed.code}: {parsed.detail} {parsed.remediation or ''}")
    if parsed is None:
        sys.exit("What answers is not the service.")
    return parsed


def connect(server):
    # Longer than the service holds an answer.
    timeout = httpx.Timeout(90)
    key = os.environ.get("TRITFORGE_API_KEY")
    return AuthenticatedClient(server, token=key, timeout=timeout) if key else Client(server, timeout=timeout)


def submit(client) -> Job:
    """One form brings the model and its data along; files are read while they are sent."""

    def file(name):
        return File(payload=(EXAMPLE / name).open("rb"), file_name=name)

    body = CreateJobFilesBody(
        model=file("model.onnx"),
        calibration=file("calibration.npz"),
        evaluation=file("evaluation.zip"),
        job=JobOptions.from_dict(json.loads((EXAMPLE / "job.json").read_text())),
    )
    return answer(create_job.sync(client=client, body=body, idempotency_key=str(uuid.uuid4())))


def wait(client, job) -> Job:
    while job.state not in ENDED:
        job = answer(get_job.sync(job.id, client=client, prefer="wait=20"))
        print(job.phase or job.state)
    return job


def download(client, artifact, out):
    for described in artifact.files:
        content = answer(download_artifact.sync(artifact.id, client=client, file=described.name)).payload.read()
        if f"sha256:{hashlib.sha256(content).hexdigest()}" != described.digest:
            sys.exit(f"{described.name} arrived with another digest than it has.")
        (out / described.name).write_bytes(content)
        print(out / described.name)


def main():
    out = pathlib.Path(sys.argv[1])
    client = connect(sys.argv[2] if len(sys.argv) > 2 else "http://127.0.0.1:8080")
    job = wait(client, submit(client))
    if job.state != "succeeded":
        print(f"{job.state}: {job.error.code}: {job.error.message}" if job.error else job.state, file=sys.stderr)
        sys.exit(4)
    report = answer(get_report.sync(job.id, client=client))
    accuracy = report.accuracy
    print(f"{accuracy.metric}: {accuracy.original} before, {accuracy.quantized} after")
    out.mkdir(parents=True, exist_ok=True)
    for artifact in answer(list_artifacts_of_job.sync(job.id, client=client)).items:
        download(client, artifact, out)
    if job.gates.passed is False:
        sys.exit(3)


if __name__ == "__main__":
    main()
