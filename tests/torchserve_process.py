"""`python -m serving.torchserve.start` as a process, and facts about it and its children."""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import engines
import psutil
import requests
import sample_pictures
from requests_in_flight import PATIENCE, until
from server_metrics import samples


class Started:
    """A started TorchServe and its output.

    Attributes:
        port: the port for predictions.
        temporary: its folder for temporary files.
    """

    def __init__(self, *flags: str, environment: dict[str, str] | None = None) -> None:
        self.port = engines.free_port(following=2)
        # Sockets are made in it, and pytest's own temporary paths may be too long for one.
        self.temporary = Path(tempfile.mkdtemp(prefix="test-"))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "serving.torchserve.start", "--port", str(self.port), *flags],
            cwd=engines.ROOT,
            env={**os.environ, "TMPDIR": str(self.temporary), **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.output: list[str] = []
        self.errors: list[str] = []
        assert self.process.stdout
        assert self.process.stderr
        self._readers = [
            (threading.Thread(target=lines.extend, args=[stream], daemon=True), stream)
            for lines, stream in ((self.output, self.process.stdout), (self.errors, self.process.stderr))
        ]
        for reader, _ in self._readers:
            reader.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def model(self) -> dict[str, Any]:
        """What the management API says about the model."""
        answer = requests.get(f"http://127.0.0.1:{self.port + 1}/models/inpaint", timeout=PATIENCE)
        return dict(answer.json()[0])

    def predict(self, side: int = 178, **options: Any) -> requests.Response:
        """Have a square picture filled."""
        files = {
            "image": sample_pictures.encode(sample_pictures.face(side, side)),
            "mask": sample_pictures.encode_mask(sample_pictures.scratch(side, side, 9)),
        }
        return requests.post(f"{self.url}/predictions/inpaint", files=files, timeout=PATIENCE, **options)

    def family(self) -> list[psutil.Process]:
        """Its descendants: java and the workers."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def java(self) -> psutil.Process:
        """TorchServe itself, whose children are the workers."""
        (java,) = (process for process in self.family() if process.name() == "java")
        return java

    def asked(self) -> float:
        """The number of predictions requested."""
        text = requests.get(f"http://127.0.0.1:{self.port + 2}/metrics", timeout=PATIENCE).text
        return sum(
            value for name, value in samples(text).items() if name.startswith("ts_inference_requests_total")
        )

    def waiting(self) -> int:
        """The number of predictions waiting for a worker."""
        return int(self.model()["jobQueueStatus"]["pendingRequests"])

    def wait_until_ready(self) -> None:
        until(lambda: bool(self.output) or self.process.poll() is not None)
        assert self.output, f"it did not start: {''.join(self.errors)}"

    def finish(self) -> int:
        """Wait for its end. Return the exit code."""
        code = self.process.wait(PATIENCE)
        for reader, stream in self._readers:
            reader.join(PATIENCE)
            stream.close()
        return code


@contextmanager
def started(*flags: str, environment: dict[str, str] | None = None) -> Iterator[Started]:
    """Start TorchServe, and stop it whatever happens."""
    start = Started(*flags, environment=environment)
    try:
        yield start
    finally:
        start.process.terminate()
        start.finish()
        shutil.rmtree(start.temporary)
