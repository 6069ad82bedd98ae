"""One TorchServe on this host: a folder of its own, its processes, and how it is asked, drained and stopped."""

import fcntl
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from typing import Any, Self

import yaml

from serving.contract import MODEL_NAME
from serving.errors import ModelFileException

_SETTINGS = Path(__file__).parent
_CONFIG, _LOGGING = _SETTINGS / "config.properties", _SETTINGS / "log4j2.xml"

# The first exception of a traceback is its cause; one of this project's own says more than its cause.
_OWN_ERROR = re.compile(r"serving\.errors\.\w+: (.+)")
_ANY_ERROR = re.compile(r"- ((?:\w+\.)*\w*(?:Error|Exception): .+)")
_DIED = "Backend worker process died."

_LINES_KEPT = 2000
_POLL_SECONDS = 0.1
_QUIET_POLLS = 3  # a request is nowhere for a moment on its way to a worker, and its answer on its way back
_STOP_SECONDS = 15.0  # java takes about five
_PROBE_SECONDS = 10.0


@dataclass(frozen=True)
class Options:
    """What an instance is to serve, and how.

    Attributes:
        mar: the model archive.
        host: address for predictions and metrics; management is always on loopback.
        port: port for predictions; management has the next one, metrics the one after.
        workers: processes with a model each.
        threads: CPU threads of each.
        gpu: give each worker a GPU, and refuse to start without.
    """

    mar: Path
    host: str
    port: int
    workers: int
    threads: int
    gpu: bool

    @property
    def management_port(self) -> int:
        """Port of the management API."""
        return self.port + 1

    @property
    def metrics_port(self) -> int:
        """Port of the Prometheus metrics."""
        return self.port + 2


class Instance:
    """A running TorchServe, a context manager: on leaving it, its processes and its folder are gone."""

    def __init__(self, options: Options, *, forward: bool = False) -> None:
        """Take the options; with `forward`, TorchServe's own lines go to standard error from the start."""
        self.options = options
        self.forward = forward
        self._lines: deque[str] = deque(maxlen=_LINES_KEPT)

    def __enter__(self) -> Self:
        """Unpack the model and start the processes.

        Raises:
            ModelFileException: the file is no model archive.
        """
        # Unix sockets are made in it, and their paths may have no more than about 100 characters.
        self._folder = Path(tempfile.mkdtemp(prefix="inpaint-ts-"))
        try:
            self._model = _unpack(self.options, self._folder / "store")
            self._process = self._launch()
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        Thread(target=self._read, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop every process, by force if need be, and remove the folder."""
        self._signal(signal.SIGTERM)
        deadline = time.monotonic() + _STOP_SECONDS
        while self._alive() and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        while self._alive():
            self._signal(signal.SIGKILL)
            time.sleep(_POLL_SECONDS)
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def running(self) -> bool:
        """Whether TorchServe is there, not whether it can answer."""
        return self._process.poll() is None

    def ready(self) -> bool:
        """Tell whether every worker has loaded the model."""
        workers = self._describe().get("workers", [])
        return len(workers) == self.options.workers and all(w["status"] == "READY" for w in workers)

    def failure(self) -> str | None:
        """Return why the model cannot be loaded; None as long as no worker has failed."""
        lines = list(self._lines)
        if not any(_DIED in line for line in lines):
            return None
        for pattern in (_OWN_ERROR, _ANY_ERROR):
            if found := next(filter(None, map(pattern.search, lines)), None):
                return found[1]
        return None

    def last_words(self) -> str:
        """Return the last line that TorchServe wrote."""
        return self._lines[-1] if self._lines else "nothing"

    def predict(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Send a JSON body to the model. Return status, headers by lower-case name, and body.

        Raises:
            OSError, http.client.HTTPException: there is no answer.
        """
        headers = {"Content-Type": "application/json"}
        return self._ask(self.options.port, "POST", f"/predictions/{MODEL_NAME}", body, headers)

    def drain(self, seconds: float, hurry: Event) -> None:
        """Wait until no request is in flight, at most for so long, or until told to hurry."""
        quiet, deadline = 0, time.monotonic() + seconds
        while quiet < _QUIET_POLLS and time.monotonic() < deadline and not hurry.wait(_POLL_SECONDS):
            quiet = 0 if self._busy() else quiet + 1

    def _busy(self) -> bool:
        if self._describe().get("jobQueueStatus", {}).get("pendingRequests"):
            return True
        # A worker that is at work holds a shared lock on its handler's file.
        with (self._model / "handler.py").open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def _describe(self) -> dict[str, Any]:
        """Return what the management API says of the model; nothing while it does not answer."""
        try:
            code, _, body = self._ask(self.options.management_port, "GET", f"/models/{MODEL_NAME}")
        except (OSError, http.client.HTTPException):
            return {}
        return dict(json.loads(body)[0]) if code == http.HTTPStatus.OK else {}

    def _ask(
        self,
        port: int,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, dict[str, str], bytes]:
        host = self.options.host if port == self.options.port else _LOOPBACK
        host = _LOOPBACK if host == _ANYWHERE else host
        connection = http.client.HTTPConnection(host, port, timeout=_PROBE_SECONDS)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()
        finally:
            connection.close()

    def _launch(self) -> subprocess.Popen[str]:
        temporary, config = self._folder / "tmp", self._folder / "config.properties"
        temporary.mkdir()
        config.write_text(_properties(self.options), encoding="utf-8")
        # This variable would take the place of the configuration given.
        environment = {name: value for name, value in os.environ.items() if name != "TS_CONFIG_FILE"}
        command = [
            *(sys.executable, "-m", "ts.model_server", "--start", "--foreground", "--no-config-snapshots"),
            *("--model-store", str(self._model.parent)),
            *("--models", f"{MODEL_NAME}={self._model.name}"),
            *("--ts-config", str(config)),
            *("--log-config", str(_LOGGING)),
        ]
        # A process group of its own: Ctrl-C must not reach java before it is drained, and one signal reaches all.
        return subprocess.Popen(  # noqa: S603
            command,
            cwd=self._folder,
            env={**environment, "TMPDIR": str(temporary), "TEMP": str(temporary)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )

    def _read(self) -> None:
        for line in self._process.stdout or ():
            self._lines.append(line.rstrip())
            if self.forward:
                sys.stderr.write(line)

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def _alive(self) -> bool:
        """Tell whether a process of the group is left, after burying those that were left to this one."""
        self._process.poll()
        with suppress(ChildProcessError):
            while os.waitpid(-self._process.pid, os.WNOHANG)[0]:
                pass
        try:
            os.killpg(self._process.pid, 0)
        except ProcessLookupError:
            return False
        return True


_LOOPBACK, _ANYWHERE = "127.0.0.1", "0.0.0.0"  # noqa: S104 (the name of what is not to be bound)


def _unpack(options: Options, store: Path) -> Path:
    """Unpack the archive into the store, and write the options into its model config. Return the model's folder."""
    folder = store / MODEL_NAME
    try:
        with zipfile.ZipFile(options.mar) as archive:
            archive.extractall(folder)
        manifest = json.loads((folder / "MAR-INF" / "MANIFEST.json").read_bytes())
        config_file = folder / manifest["model"]["configFile"]
        config = yaml.safe_load(config_file.read_bytes())
    except (OSError, ValueError, LookupError, zipfile.BadZipFile, yaml.YAMLError) as error:
        raise ModelFileException(
            f"{options.mar} is no model archive of this project ({error}): `python -m export mar` makes one."
        ) from error
    config |= {
        "minWorkers": options.workers,
        "maxWorkers": options.workers,
        "threads": options.threads,
        "deviceType": "gpu" if options.gpu else "cpu",
    }
    config_file.write_text(yaml.safe_dump(config), encoding="utf-8")
    return folder


def _properties(options: Options) -> str:
    """Return TorchServe's settings: the project's, with the options after them. The last word counts."""
    settings = {
        "inference_address": f"http://{options.host}:{options.port}",
        "management_address": f"http://{_LOOPBACK}:{options.management_port}",
        "metrics_address": f"http://{options.host}:{options.metrics_port}",
        "initial_worker_port": _free_port(),
    }
    if options.gpu:
        settings["number_of_gpu"] = options.workers
    lines = [f"{name}={value}" for name, value in settings.items()]
    return "\n".join([_CONFIG.read_text(encoding="utf-8"), *lines, ""])


def _free_port() -> int:
    """Return a port for the first worker. Where there are Unix sockets, as on Linux, it is but a name."""
    with socket.socket() as probe:
        probe.bind((_LOOPBACK, 0))
        return int(probe.getsockname()[1])
