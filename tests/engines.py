"""The engines as real processes on loopback, and what a test may ask about the process."""

import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import needs
import psutil
import requests
import sample_pictures

ROOT = Path(__file__).resolve().parent.parent
MODEL = ROOT / "models" / "inpaint-int8.onnx"
"""The model that is served on CPUs by default."""
FLOAT_MODEL = ROOT / "models" / "inpaint.onnx"
"""The same in float32."""
MARKS_MODEL = ROOT / "models" / "marks" / "marks.onnx"
"""The network that finds marks."""

_START_SECONDS = 600
_STOP_SECONDS = 180

_WORKERS, _PORTS = 8, 1500


@dataclass(frozen=True)
class Engine:
    """A running server.

    Attributes:
        name: "onnx", "torchserve" or "ray".
        port: the port on loopback for predictions.
        metrics_port: the one for /metrics.
        process: the process that was started, the leader of its own process group.
        pid: the process that serves, or that has started those that do.
        log: the file that its output goes to.
        proxied: whether nginx answers at `port` and forwards requests.

    """

    name: str
    port: int
    metrics_port: int
    process: "subprocess.Popen[bytes]"
    pid: int
    log: Path
    proxied: bool = False

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    def processes(self) -> list[psutil.Process]:
        """The process that serves, and all its descendants."""
        parent = psutil.Process(self.pid)
        return [parent, *parent.children(recursive=True)]

    def cpu_seconds(self) -> float:
        """CPU seconds that its processes have used, including those that have ended."""
        total = 0.0
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system + times.children_user + times.children_system
        return total

    def rss(self) -> int:
        """Resident memory of all its processes in bytes; a page that two of them share counts twice."""
        total = 0
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                total += process.memory_info().rss
        return total


@dataclass
class PeakMemory:
    """Watches an engine's resident memory while the `with` block runs."""

    engine: Engine
    before: int = 0
    peak: int = 0
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "PeakMemory":
        self.before = self.peak = self.engine.rss()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def growth(self) -> int:
        """How far the peak was above the start, in bytes."""
        return self.peak - self.before

    def _watch(self) -> None:
        while not self._over.wait(0.005):
            self.peak = max(self.peak, self.engine.rss())


@contextmanager
def onnx_server(folder: Path, *flags: str) -> Iterator[Engine]:
    """Run the ONNX server with these flags; its log goes into `folder`."""
    port = free_port()
    command = [sys.executable, "-m", "serving", "--port", str(port), "--model", str(MODEL), *flags]
    with running("onnx", command, (port, port), folder) as engine:
        yield engine


@contextmanager
def torchserve(folder: Path) -> Iterator[Engine]:
    """Archive the default model in `folder` and run TorchServe on it."""
    needs.java()
    from export.mar import build_mar  # takes long to import, and the ONNX server needs none of it

    archive = build_mar(MODEL, folder)
    port = free_port(following=2)  # for management and metrics
    command = [sys.executable, "-m", "serving.torchserve.start", "--mar", str(archive), "--port", str(port)]
    with running("torchserve", command, (port, port + 2), folder) as engine:
        yield engine


@contextmanager
def ray_serve(folder: Path) -> Iterator[Engine]:
    """Run the server on a Ray cluster of two nodes, with a replica on each; its log goes into `folder`."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="ray-") as temporary:  # the path of a socket in it must be short
        settings = {
            "HOME": temporary,  # for the cluster's token
            "RAY_TMPDIR": temporary,
            "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": f"{temporary}/haproxy.cfg",
            "RAY_SERVE_HAPROXY_SOCKET_PATH": f"{temporary}/haproxy.sock",
            "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": temporary,
            "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": f"{temporary}/haproxy.state",
            "RAY_SERVE_HAPROXY_METRICS_PORT": str(free_port()),
            "RAY_SERVE_HAPROXY_STATS_PORT": str(free_port()),
        }
        environment = [f"{name}={value}" for name, value in settings.items()]
        command = [sys.executable, "-m", "tests.serving.ray.two_nodes", "--replicas", "2"]
        command = ["env", *environment, *command, "--port", str(port), "--model", str(MODEL)]
        with running("ray", command, (port, port), folder) as engine:
            yield engine


def free_port(following: int = 0) -> int:
    """Return a free TCP port of the loopback interface, followed by so many more free ones.

    It is none of the ephemeral ports, which a connection could take before a server does.
    """
    # Each of pytest-xdist's workers has ports of its own: gw0, gw1 and so on.
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    lowest = 20_000 + worker % _WORKERS * _PORTS
    while True:
        first = random.randrange(lowest, lowest + _PORTS - following)
        with ExitStack() as stack:
            try:
                for port in range(first, first + following + 1):
                    stack.enter_context(socket.create_server(("127.0.0.1", port)))
            except OSError:
                continue
            return first


@contextmanager
def running(name: str, command: list[str], ports: tuple[int, int], folder: Path) -> Iterator[Engine]:
    """Run a server that a command starts, with its ports for predictions and metrics, until the block is left."""
    # The tester's own settings must not reach the server.
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("INPAINT_", "TS_"))}
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    engine = Engine(name, *ports, process, process.pid, log)
    try:
        _wait_until_it_answers(engine)
        yield engine
    finally:
        _stop(engine)


def _wait_until_it_answers(engine: Engine) -> None:
    """Wait for a prediction, since TorchServe's ping is healthy before its worker is."""
    files = {
        "image": sample_pictures.encode(sample_pictures.face()),
        "mask": sample_pictures.encode_mask(sample_pictures.block(178, 178, 80, 80, 20)),
    }
    deadline = time.monotonic() + _START_SECONDS
    problem = "no answer"
    while time.monotonic() < deadline and engine.process.poll() is None:
        try:
            answer = requests.post(f"{engine.url}/predictions/inpaint", files=files, timeout=_START_SECONDS)
        except requests.RequestException as error:
            problem = str(error)
        else:
            if answer.ok:
                return
            problem = f"{answer.status_code} {answer.text}"
        time.sleep(0.1)
    log = engine.log.read_text(errors="replace")[-4000:]
    raise RuntimeError(f"{engine.name} does not answer predictions: {problem}. Its log ends:\n{log}")


def _stop(engine: Engine) -> None:
    """Stop it as an operator would. Processes left running are killed, and are an error."""
    family = engine.processes() if engine.process.poll() is None else []
    engine.process.terminate()
    _, left = psutil.wait_procs(family, _STOP_SECONDS)
    for process in left:
        process.kill()
    engine.process.wait()
    if left:
        raise RuntimeError(f"{engine.name} was stopped, and left running: {left}")
