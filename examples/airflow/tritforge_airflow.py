"""Operators and a sensor of Apache Airflow 3 for a Tritforge service. They need nothing but Airflow, which brings httpx.

    job_id = TritforgeSubmitOperator(task_id="submit", model="/data/model.onnx", job={"recipe": {"method": "fgq"}})
    ended = TritforgeJobSensor(task_id="wait", job_id=job_id.output)
    files = TritforgeDownloadOperator(task_id="download", job_id=job_id.output, folder="/data/quantized")
    job_id >> ended >> files

The connection `tritforge` has the address of the service as its host and the API key as its password:

    AIRFLOW_CONN_TRITFORGE='{"conn_type": "http", "host": "https://tritforge.example", "password": "tf_…"}'
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import pathlib
import random
import time

import httpx
from airflow.sdk import BaseHook, BaseOperator, BaseSensorOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException

# Seconds. An upload may be checked for a minute before it is answered.
ANSWER_SECONDS = 120
RETRY_SECONDS = 300
LONGEST_PAUSE_SECONDS = 20

PASSING_STATUSES = (408, 429, 502, 503, 504)


class Service:
    """Requests to the service of a connection, sent again while their failures pass."""

    def __init__(self, conn_id: str):
        connection = BaseHook.get_connection(conn_id)
        address = connection.host or ""
        headers = {"Authorization": f"Bearer {connection.password}"} if connection.password else {}
        port = f":{connection.port}" if connection.port else ""
        url = (address if "://" in address else f"http://{address}") + port
        self._client = httpx.Client(base_url=url, headers=headers, timeout=httpx.Timeout(ANSWER_SECONDS, connect=10))

    def __enter__(self) -> Service:
        return self

    def __exit__(self, *_exception) -> None:
        self._client.close()

    def json(self, method: str, path: str, **request) -> dict:
        """The JSON of the answer to a request without files."""
        return self.retried(lambda: self._checked(self._client.request(method, path, **request)).json())

    def retried(self, attempt):
        """What `attempt` returns, called again while it fails for reasons that pass.

        :raises AirflowFailException: the service refuses; no retry of the task would help
        :raises AirflowException: it did not pass in time
        """
        give_up = time.monotonic() + RETRY_SECONDS
        pause = 0.5
        while True:
            try:
                return attempt()
            except (Passing, httpx.TransportError) as failure:
                rest = max(pause * random.uniform(0.5, 1), getattr(failure, "retry_after", 0))
                if time.monotonic() + rest > give_up:
                    raise AirflowException(f"{self._client.base_url}: {failure}") from failure
            time.sleep(rest)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def submit(self, files: list[tuple[str, pathlib.Path, str]], job: dict, key: str) -> str:
        """Starts a job by one form, whose files are read while they are sent. Returns its id."""

        def attempt():
            with contextlib.ExitStack() as opened:
                parts: list = [("job", (None, json.dumps(job), "application/json"))]
                for part, path, name in files:
                    parts.append((part, (name, opened.enter_context(path.open("rb")))))
                answer = self._client.post("/jobs", files=parts, headers={"Idempotency-Key": key})
                return self._checked(answer).json()["id"]

        return self.retried(attempt)

    def download(self, artifact_id: str, described: dict, target: pathlib.Path) -> None:
        """Downloads a file. After an interruption, also of an earlier try of the task, it goes on behind what is there."""
        part = target.with_name(f"{target.name}.{described['digest'][-12:]}.part")

        def attempt():
            begun = part.stat().st_size if part.exists() else 0
            if begun >= described["sizeBytes"]:
                return
            query, headers = {"file": described["name"]}, {"Range": f"bytes={begun}-"}
            with self._client.stream("GET", f"/artifacts/{artifact_id}/content", params=query, headers=headers) as answer:
                if answer.status_code >= 300:
                    answer.read()
                self._checked(answer)
                with part.open("ab" if answer.status_code == 206 else "wb") as file:
                    for chunk in answer.iter_raw():
                        file.write(chunk)

        self.retried(attempt)
        with part.open("rb") as file:
            received = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        if received != described["digest"]:
            part.unlink()
            raise AirflowException(f"What arrived for {target} has the digest {received} in place of {described['digest']}")
        part.replace(target)

    def _checked(self, answer: httpx.Response) -> httpx.Response:
        if answer.status_code < 300:
            return answer
        is_problem = answer.headers.get("content-type", "").startswith("application/problem+json")
        problem = answer.json() if is_problem else {"code": f"HTTP {answer.status_code}", "detail": "no problem document"}
        words = f"{problem['code']}: {problem['detail']} {problem.get('remediation', '')}"
        if answer.status_code in PASSING_STATUSES or problem["code"] == "IDEMPOTENCY_IN_PROGRESS":
            raise Passing(words, answer.headers.get("retry-after", ""))
        raise AirflowFailException(words) if answer.status_code < 500 else AirflowException(words)


class Passing(Exception):
    """A failure that passes."""

    def __init__(self, words: str, retry_after: str):
        super().__init__(words)
        self.retry_after = int(retry_after) if retry_after.isdecimal() else 0


class TritforgeSubmitOperator(BaseOperator):
    """Starts a job and returns its id. A task that is tried again in the same run starts no second job.

    Clearing the task in the same run gives the same job for 24 hours; a new run gives a new one.

    :param model: path of the .onnx file
    :param external_data: paths of its external data from its folder
    :param calibration: path of the samples that set the ranges of activations
    :param evaluation: path of the samples to measure accuracy on
    :param job: what `POST /jobs` takes as its part `job`: recipe, gates, metric, preprocess, labels
    """

    template_fields = ("model", "external_data", "calibration", "evaluation", "job")

    def __init__(self, *, model, external_data=(), calibration=None, evaluation=None, job=None, conn_id="tritforge", **kwargs):
        super().__init__(**kwargs)
        self.model = model
        self.external_data = external_data
        self.calibration = calibration
        self.evaluation = evaluation
        self.job = job
        self.conn_id = conn_id

    def execute(self, context) -> str:
        model = pathlib.Path(self.model)
        files = [("model", model, model.name)]
        files += [("data", model.parent / name, name) for name in self.external_data]
        for part in ("calibration", "evaluation"):
            path = getattr(self, part)
            if path:
                files.append((part, pathlib.Path(path), pathlib.Path(path).name))
        missing = [str(path) for _, path, _ in files if not path.is_file()]
        if missing:
            raise AirflowFailException(f"There is no file {', '.join(missing)}")
        task = context["ti"]
        place = f"{task.dag_id}/{task.run_id}/{task.task_id}/{task.map_index}"
        key = f"airflow-{hashlib.sha256(place.encode()).hexdigest()}"
        with Service(self.conn_id) as service:
            job_id = service.submit(files, self.job or {}, key)
        self.log.info("%s is submitted", job_id)
        return job_id


class TritforgeJobSensor(BaseSensorOperator):
    """Waits for a job without keeping a slot of a worker, and fails, not to be tried again, when the job or one of its gates failed."""

    template_fields = ("job_id",)

    def __init__(self, *, job_id, fail_on_gates=True, conn_id="tritforge", mode="reschedule", poke_interval=30, **kwargs):
        super().__init__(mode=mode, poke_interval=poke_interval, **kwargs)
        self.job_id = job_id
        self.fail_on_gates = fail_on_gates
        self.conn_id = conn_id

    def poke(self, context) -> bool:
        with Service(self.conn_id) as service:
            job = service.json("GET", f"/jobs/{self.job_id}")
        self.log.info("%s is %s, %s", self.job_id, job["state"], job["progress"] or job["queuePosition"])
        if job["state"] in ("queued", "running"):
            return False
        error = job["error"]
        if job["state"] != "succeeded":
            raise AirflowFailException(f"{job['state']}: {error['code']}: {error['message']}" if error else job["state"])
        failed = [gate for gate in job["gates"]["results"] if not gate["passed"]]
        if failed and self.fail_on_gates:
            raise AirflowFailException(f"GATE_FAILED: {failed}")
        return True


class TritforgeDownloadOperator(BaseOperator):
    """Downloads artifacts and report of a job into a folder. Returns the paths: the .onnx file first."""

    template_fields = ("job_id", "folder")

    def __init__(self, *, job_id, folder, conn_id="tritforge", **kwargs):
        super().__init__(**kwargs)
        self.job_id = job_id
        self.folder = folder
        self.conn_id = conn_id

    def execute(self, context) -> list[str]:
        folder = pathlib.Path(self.folder)
        paths = []
        with Service(self.conn_id) as service:
            report = service.json("GET", f"/jobs/{self.job_id}/report")
            artifacts = service.json("GET", f"/jobs/{self.job_id}/artifacts")["items"]
            folder.mkdir(parents=True, exist_ok=True)
            for artifact in artifacts:
                for described in artifact["files"]:
                    if pathlib.PurePath(described["name"]).name != described["name"]:
                        raise AirflowFailException(f"An artifact is called {described['name']}")
                    service.download(artifact["id"], described, folder / described["name"])
                    paths.append(str(folder / described["name"]))
        (folder / "report.json").write_text(json.dumps(report, indent=2))
        return [*paths, str(folder / "report.json")]
