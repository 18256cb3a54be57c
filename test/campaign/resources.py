"""Keys, and resources that are there, for requests that would end at a 401 or 404 otherwise."""

import base64
import dataclasses
import json
import os
import re
import subprocess
import time

import requests

JOB_SECONDS = 120
# Of requests, how many get an id that is there, and how many a body that can be used.
REAL_ID = 0.75
REAL_BODY = 0.5
# Resources that every later request may need: nothing deletes or changes them.
CREATED_LATER = re.compile(r"^(DELETE|PATCH) |/(cancel|rotate)$")


@dataclasses.dataclass(frozen=True)
class Keys:
    admin: str
    viewer: str
    monitor: str
    stranger: str

    def choose(self, label, random):
        """An Authorization header, mostly of somebody who may send the request; None for nobody."""
        allowed = self.monitor if label == "GET /metrics" else self.admin
        others = [self.viewer, self.stranger, self.monitor, "tf_" + "x" * 43, None]
        key = allowed if random.random() < 0.85 else random.choice(others)
        return None if key is None else f"Bearer {key}"


def make_keys(root, data):
    """Makes projects and keys as an operator does."""
    environment = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}

    def admin(*arguments):
        command = ["node", str(root / "packages/cli/bin/tritforge.mjs"), "admin", *arguments]
        done = subprocess.run(command, env={**environment, "TRITFORGE_DATA_DIR": data}, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    for project in ("campaign", "elsewhere"):
        admin("create-project", project)
    made = {
        name: admin("create-key", name, "--project", project, "--role", role)
        for name, project, role in [
            ("admin", "campaign", "admin"),
            ("viewer", "campaign", "viewer"),
            ("monitor", "campaign", "monitor"),
            ("stranger", "elsewhere", "admin"),
        ]
    }
    return Keys(**made)


class Resources:
    """Ids by the first step of the paths that they stand in. What answers name in Location joins them."""

    def __init__(self, root, url, key):
        self.url = url
        self.headers = {"authorization": f"Bearer {key}"}
        shapes = root / "examples/shapes"
        self.model = (shapes / "model.onnx").read_bytes()
        self.data = (shapes / "calibration.npz").read_bytes()
        self.ids = {kind: [] for kind in ("models", "datasets", "jobs", "artifacts", "webhooks", "uploads")}
        self.kept = {}
        self.deliveries = []
        self.make(shapes)

    def post(self, path, **body):
        response = requests.post(f"{self.url}{path}", headers={**self.headers, **body.pop("headers", {})}, timeout=JOB_SECONDS, **body)
        assert response.ok, response.text
        return response

    def make(self, shapes):
        model = self.post("/models", files={"model": ("model.onnx", self.model)}).json()["id"]
        data = {"data": ("calibration.npz", self.data)}
        dataset = self.post("/datasets", files=data, data={"preprocess": (shapes / "preprocess.json").read_text()}).json()["id"]
        job = self.post("/jobs", json={"modelId": model, "recipe": {"activations": {"bits": None}}}).json()["id"]
        artifacts = self.artifacts_of(job)
        webhook = self.post("/webhooks", json={"url": "https://receiver.invalid/"}).json()["id"]
        self.deliveries.append((webhook, self.post(f"/webhooks/{webhook}/test").json()["id"]))
        metadata = f"filename {base64.b64encode(b'model.onnx').decode()}"
        tus = {"Tus-Resumable": "1.0.0", "Upload-Length": str(len(self.model)), "Upload-Metadata": metadata}
        pieces = {"Content-Type": "application/offset+octet-stream"}
        upload = self.post("/uploads", headers={**tus, **pieces}, data=self.model).headers["Location"].split("/")[-1]
        self.kept = {"models": model, "datasets": dataset, "jobs": job, "artifacts": artifacts[0], "webhooks": webhook, "uploads": upload}

    def artifacts_of(self, job):
        give_up = time.monotonic() + JOB_SECONDS
        while time.monotonic() < give_up:
            state = requests.get(f"{self.url}/jobs/{job}", headers=self.headers, timeout=JOB_SECONDS).json()
            if state["state"] == "succeeded":
                return state["artifactIds"]
            assert state["state"] in ("queued", "running"), json.dumps(state)
            time.sleep(0.5)
        raise TimeoutError("the first job did not end")

    def note(self, response):
        location = re.fullmatch(r"/(\w+)/(\w+)", response.headers.get("Location", ""))
        if location and location[1] in self.ids:
            # Of many, those that came last.
            self.ids[location[1]] = [*self.ids[location[1]], location[2]][-20:]

    def fill(self, case, random):
        """Puts what is there in place of some of what was made up."""
        self.fill_path(case, random)
        headers = case.headers or {}
        if "Prefer" in headers:
            headers["Prefer"] = "wait=0"
        if "Tus-Resumable" in headers and random.random() < 0.9:
            headers["Tus-Resumable"] = "1.0.0"
        if "Upload-Offset" in headers and random.random() < 0.5:
            headers["Upload-Offset"] = "0"
        if "Upload-Length" in headers and random.random() < 0.5:
            headers["Upload-Length"] = "1000"
        if isinstance(case.body, dict) and random.random() < REAL_BODY:
            self.fill_body(case, random)

    def fill_path(self, case, random):
        if "id" not in (case.path_parameters or {}) or random.random() > REAL_ID:
            return
        kind = case.operation.path.split("/")[1]
        kept = [] if CREATED_LATER.search(case.operation.label) else [self.kept[kind]]
        ids = [*self.ids[kind], *kept]
        if not ids:
            return
        case.path_parameters["id"] = random.choice(ids)
        if "delivery" in case.path_parameters and random.random() < REAL_ID:
            case.path_parameters["id"], case.path_parameters["delivery"] = random.choice(self.deliveries)

    def fill_body(self, case, random):
        if "modelId" in case.body:
            case.body["modelId"] = self.kept["models"]
        if isinstance(case.body.get("datasets"), dict):
            case.body["datasets"] = {role: self.kept["datasets"] for role in case.body["datasets"]}
        if "model" in case.body:
            case.body["model"] = random.choice([self.model, f"upload:{self.kept['uploads']}"])
        for part in ("calibration", "evaluation", "training"):
            if part in case.body:
                case.body[part] = self.data
        if case.operation.label == "POST /datasets" and "data" in case.body:
            case.body["data"] = self.data
