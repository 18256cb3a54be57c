"""Generates the client from a service that it starts and runs the example with it, in a folder that goes away.

    python3 -m venv venv && venv/bin/pip install -r clients/python/requirements.txt
    venv/bin/python clients/python/check.py
"""

import os
import pathlib
import subprocess
import sys
import tempfile

from started_service import started_service

HERE = pathlib.Path(__file__).resolve().parent


def main():
    with started_service() as url, tempfile.TemporaryDirectory() as folder:
        generator = pathlib.Path(sys.executable).parent / "openapi-python-client"
        subprocess.run(
            [
                *(generator, "generate", "--url", f"{url}/openapi.json", "--config", HERE / "generator.yml"),
                *("--meta", "none", "--output-path", f"{folder}/tritforge_client", "--fail-on-warning"),
            ],
            check=True,
        )
        environment = {**os.environ, "PYTHONPATH": folder}
        environment.pop("TRITFORGE_API_KEY", None)
        out = pathlib.Path(folder) / "out"
        subprocess.run([sys.executable, HERE / "quantize_example.py", out, url], env=environment, check=True)
        names = sorted(path.name for path in out.iterdir())
        assert names == ["model.fgq-n4.portable.onnx"], names
        wrong = {**environment, "TRITFORGE_API_KEY": "tf_wrong"}
        refused = subprocess.run(
            [sys.executable, HERE / "quantize_example.py", out, url], env=wrong, capture_output=True, text=True, check=False
        )
        assert refused.returncode == 1 and refused.stderr.startswith("UNAUTHENTICATED: "), refused
    print("The generated client works.")


if __name__ == "__main__":
    main()
