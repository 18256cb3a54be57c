"""Runs the example DAG in Airflow, with a database of its own, against a service that it starts.

    python3 -m venv venv && venv/bin/pip install -r examples/airflow/requirements.txt
    venv/bin/python examples/airflow/check.py
"""

import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SHAPES = ROOT / "examples/shapes"
sys.path.insert(0, str(ROOT / "clients/python"))

from started_service import started_service  # noqa: E402


def run_dag(environment, folder, job):
    """Runs the DAG in one process. Returns how it ended and what it wrote."""
    params = {
        "model": str(SHAPES / "model.onnx"),
        "calibration": str(SHAPES / "calibration.npz"),
        "evaluation": str(SHAPES / "evaluation.zip"),
        "job": job,
        "folder": str(folder),
    }
    command = [sys.executable, "-m", "airflow", "dags", "test", "tritforge_quantize", "--conf", json.dumps(params)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def main():
    job = json.loads((SHAPES / "job.json").read_text())
    with started_service() as url, tempfile.TemporaryDirectory() as home:
        environment = {
            **os.environ,
            "AIRFLOW_HOME": home,
            "AIRFLOW__CORE__DAGS_FOLDER": str(HERE),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW_CONN_TRITFORGE": json.dumps({"conn_type": "http", "host": url}),
            "PYTHONPATH": str(HERE),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], env=environment, capture_output=True, check=True)
        subprocess.run([sys.executable, "-m", "airflow", "dags", "reserialize"], env=environment, capture_output=True, check=True)
        out = pathlib.Path(home) / "quantized"
        done = run_dag(environment, out, job)
        assert done.returncode == 0, done.stdout + done.stderr
        names = sorted(path.name for path in out.iterdir())
        assert names == ["model.fgq-n4.portable.onnx", "report.json"], names
        report = json.loads((out / "report.json").read_text())
        content = (out / names[0]).read_bytes()
        assert len(content) == report["artifacts"][0]["sizeBytes"]
        print(f"succeeded: {names[0]}, sha256 {hashlib.sha256(content).hexdigest()[:12]}")

        failed = run_dag(environment, pathlib.Path(home) / "none", {**job, "gates": {"maxSizeBytes": 1000}})
        output = failed.stdout + failed.stderr
        assert failed.returncode != 0 and "GATE_FAILED" in output, output
        refused = run_dag(environment, pathlib.Path(home) / "none", {**job, "recipe": {"method": "int8", "paper": True}})
        output = refused.stdout + refused.stderr
        assert refused.returncode != 0 and "RECIPE_INVALID" in output, output
        assert not (pathlib.Path(home) / "none").exists()
    print("The DAG succeeds, fails by its gate and fails when it is refused.")


if __name__ == "__main__":
    main()
