"""What `npm start` starts, with a database, data and a port of its own, for as long as a check needs it."""

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
START_SECONDS = 300


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def is_ready(url):
    try:
        with urllib.request.urlopen(f"{url}/health/ready", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


@contextlib.contextmanager
def started_service(**more):
    """Gives the address of a service with these settings too, which ends with the block and leaves nothing."""
    data = tempfile.mkdtemp(prefix="tritforge-check-")
    # The database runs as another user when this runs as root, and must reach its files.
    os.chmod(data, 0o755)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    settings = {"TRITFORGE_PORT": str(port), "TRITFORGE_DATA_DIR": data, "TRITFORGE_LOG_LEVEL": "warn", **more}
    without = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    service = subprocess.Popen(["node", str(ROOT / "scripts/start.mjs")], env={**without, **settings}, stdout=subprocess.DEVNULL)
    try:
        give_up = time.monotonic() + START_SECONDS
        while not is_ready(url):
            if service.poll() is not None or time.monotonic() > give_up:
                raise RuntimeError("the service did not start")
            time.sleep(0.5)
        yield url
    finally:
        service.send_signal(signal.SIGINT)
        service.wait(60)
        shutil.rmtree(data)
