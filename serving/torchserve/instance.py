"""One running TorchServe: its files, its processes, and what it reports."""

import base64
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import distribution
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from types import TracebackType
from typing import Any, Self
from urllib.error import HTTPError

import cv2
import numpy as np
import psutil
import yaml

from serving.core.address import local_url
from serving.core.errors import ModelFileError, StartupError
from serving.core.graph import MODEL_SIZE
from serving.core.media_types import JSON
from serving.core.runtime import is_name
from serving.torchserve.options import LOOPBACK, Options

_HERE = Path(__file__).parent

_DIED = "Backend worker process died."
# The first exception of a traceback is the cause, but an error of this project has the better message.
_OWN_ERROR = re.compile(r"serving\.core\.errors\.\w+: (.+)")
_ANY_ERROR = re.compile(r" - ((?:\w+\.)*\w*(?:Error|Exception): .+)")

_LINES_KEPT = 2000
_REQUEST_SECONDS = 30.0
_POLL_SECONDS = 0.1
_STOP_SECONDS = 15.0  # java takes about five


class Instance:
    """A running TorchServe. As a context manager it stops every process and removes the files on exit.

    The files are in one temporary folder, so that two instances can run on one host.
    """

    def __init__(self, options: Options, java: str) -> None:
        self.options = options
        self.forward = options.verbose
        """Whether TorchServe's output is written to standard error."""
        self.address: Path | int
        """Where TorchServe accepts predictions once it is started: a Unix socket or a port on loopback."""
        self._java_path = java
        self._lines: deque[str] = deque(maxlen=_LINES_KEPT)
        self._seen: set[psutil.Process] = set()
        # The environment's proxy does not apply to this host.
        self._open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open

    def __enter__(self) -> Self:
        """Start the processes.

        Raises:
            ModelFileError: the file is not a model archive of this project.
        """
        # A short name: the workers' sockets are in this folder, and a socket's path is limited to about 100 characters.
        self._files = TemporaryDirectory(prefix="inpaint-ts-", ignore_cleanup_errors=True)
        folder = Path(self._files.name)
        self.address = _address(folder)
        try:
            self.models = [_unpack(mar, self.options, folder / "store") for mar in self.options.mar]
            if len(set(self.models)) < len(self.models):
                names = ", ".join(self.models)
                raise ModelFileError(f"Two archives have the same name ({names}): use `export mar --name`.")
            properties = _properties(self.options, self.address)
            (folder / "config.properties").write_text(properties, encoding="utf-8")
            (folder / "tmp").mkdir()
            self._java = _launch(self._java_path, folder, self.models)
        except BaseException:
            self._files.cleanup()
            raise
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop every process, by force if necessary, and remove the files."""
        processes = self._processes()
        with suppress(psutil.NoSuchProcess):
            self._java.terminate()
        deadline = time.monotonic() + _STOP_SECONDS
        while psutil.wait_procs(processes, _POLL_SECONDS)[1]:
            processes = self._processes()
            for process in processes if time.monotonic() > deadline else ():
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        if hasattr(os, "killpg"):  # for a worker that started just before java was killed
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._java.pid, signal.SIGKILL)
        self._reader.join(_STOP_SECONDS)
        self._files.cleanup()

    @property
    def running(self) -> bool:
        """Whether TorchServe's process is running; it may not be ready yet."""
        return self._java.poll() is None

    def has_workers(self) -> bool:
        """Tell whether every model has a worker process, even one that is still starting.

        TorchServe's API cannot tell: it reports UNLOADING both for a worker that is starting and for one it gave up on.
        """
        workers = self._processes() - {self._java}
        return all(any(self._works_for(worker, model) for worker in workers) for model in self.models)

    def workers_ready(self) -> bool:
        """Tell whether every worker has loaded its model."""
        self._processes()  # records the workers as soon as they start
        of_models = [self._description(model).get("workers", []) for model in self.models]
        return all(
            len(workers) == self.options.workers and all(w["status"] == "READY" for w in workers)
            for workers in of_models
        )

    def predict(self, model: str) -> tuple[str, str]:
        """Fill a hole in a grey image. Return the model's version and the execution provider.

        Raises:
            StartupError: the prediction failed.
        """
        image = np.full((MODEL_SIZE, MODEL_SIZE, 4), 255, np.uint8)
        image[..., :3] = 128
        image[80:100, 80:100] = 0
        fields = {"image": base64.b64encode(cv2.imencode(".png", image)[1].tobytes()).decode()}
        url = f"{local_url(self.options.host, self.options.port)}/predictions/{model}"
        request = urllib.request.Request(url, json.dumps(fields).encode(), {"Content-Type": JSON})  # noqa: S310 (http)
        try:
            with self._open(request, timeout=_REQUEST_SECONDS) as response:
                return response.headers["X-Model-Version"], response.headers["X-Execution-Provider"]
        except (OSError, http.client.HTTPException) as error:
            text = error.read().decode(errors="replace") if isinstance(error, HTTPError) else repr(error)
            raise StartupError(f"The test prediction failed: {text}") from error

    def failure(self) -> str | None:
        """Return why a worker cannot load the model, or None if no worker has failed."""
        lines = list(self._lines)
        if any(_DIED in line for line in lines):
            for pattern in (_OWN_ERROR, _ANY_ERROR):
                for found in filter(None, map(pattern.search, lines)):
                    return found[1]
        return None

    def last_line(self) -> str:
        """Return the last line of TorchServe's output."""
        return self._lines[-1] if self._lines else "none"

    def _description(self, model: str) -> Mapping[str, Any]:
        """Return the management API's description of a model; empty while there is none."""
        url = f"http://{LOOPBACK}:{self.options.management_port}/models/{model}"
        try:
            with self._open(url, timeout=_REQUEST_SECONDS) as response:
                return dict(json.load(response)[0])
        except (OSError, http.client.HTTPException):
            return {}

    def _works_for(self, worker: psutil.Process, model: str) -> bool:
        """Tell whether a worker serves this model: TorchServe adds the model's folder to its PYTHONPATH."""
        if len(self.models) == 1:
            return True
        with suppress(psutil.Error):
            path = worker.environ().get("PYTHONPATH", "").split(os.pathsep)
            return str(Path(self._files.name, "store", model)) in path
        return False

    def _processes(self) -> set[psutil.Process]:
        """Return the running processes, including any that java left behind."""
        with suppress(psutil.NoSuchProcess):
            self._seen.update(self._java.children(recursive=True))
        self._seen = {process for process in self._seen if process.is_running()}
        return {self._java, *self._seen}

    def _read(self) -> None:
        with self._java.stdout as output:
            for line in output:
                self._lines.append(line.rstrip())
                if self.forward:
                    sys.stderr.write(line)


def _unpack(mar: Path, options: Options, store: Path) -> str:
    """Unpack an archive and write the options into its model config. Return the model's name.

    TorchServe accepts a folder as an archive.
    """
    try:
        with zipfile.ZipFile(mar) as archive:
            name = str(json.loads(archive.read("MAR-INF/MANIFEST.json"))["model"]["modelName"])
            if not is_name(name):
                raise ValueError(f"its model name is {name!r:.80}")
            folder = store / name
            archive.extractall(folder)
        manifest = json.loads((folder / "MAR-INF" / "MANIFEST.json").read_bytes())
        config_file = folder / manifest["model"]["configFile"]
        config = dict(yaml.safe_load(config_file.read_bytes()))
    except (OSError, ValueError, TypeError, LookupError, zipfile.BadZipFile, yaml.YAMLError) as error:
        raise ModelFileError(
            f"{mar} is not a model archive of this project ({error}): create one with `python -m export mar`."
        ) from error
    config["minWorkers"] = config["maxWorkers"] = options.workers
    config["threads"] = options.threads
    config["deviceType"] = "gpu" if options.gpu else "cpu"
    config_file.write_text(yaml.safe_dump(config), encoding="utf-8")
    return name


def _has_no_checkout(entry: str) -> bool:
    return bool(entry) and not Path(entry, "serving").is_dir()


def _address(folder: Path) -> Path | int:
    """Return the address for predictions: a Unix socket, or a port on loopback where TorchServe supports none."""
    return folder / "predictions.sock" if sys.platform == "linux" else _free_port()


def _free_port() -> int:
    with socket.create_server((LOOPBACK, 0)) as server:
        return int(server.getsockname()[1])


def _properties(options: Options, address: Path | int) -> str:
    """Return the project's configuration followed by the options: for a duplicate key, the last value applies."""
    settings = {
        "inference_address": f"http://{LOOPBACK}:{address}"
        if isinstance(address, int)
        else f"unix:{address}",
        "management_address": f"http://{LOOPBACK}:{options.management_port}",
        "metrics_address": f"http://{options.host}:{options.metrics_port}",
        # The first worker's port. With Unix sockets, as on Linux, it is only part of the socket's name.
        "initial_worker_port": _free_port(),
        "number_of_gpu": options.workers if options.gpu else 0,
        "enable_envvars_config": "false",
    }
    lines = [f"{name}={value}" for name, value in settings.items()]
    return "\n".join([(_HERE / "config.properties").read_text(encoding="utf-8"), *lines, ""])


def _launch(java: str, folder: Path, models: list[str]) -> psutil.Popen:
    """Start java as `torchserve --start --foreground` would, without that command's process in between."""
    packages = Path(str(distribution("torchserve").locate_file(""))).resolve()
    command = [
        *(java, f"-Dmodel_server_home={packages}", f"-Djava.io.tmpdir={folder / 'tmp'}"),
        *(f"-Dlog4j.configurationFile={(_HERE / 'log4j2.xml').as_uri()}",),
        *("-cp", str(packages / "ts" / "frontend" / "*"), "org.pytorch.serve.ModelServer"),
        *("--python", sys.executable, "-ncs", "-f", str(folder / "config.properties")),
        *("-s", str(folder / "store"), "-m", *(f"{model}={model}" for model in models)),
    ]
    environment = {
        **os.environ,
        "TMPDIR": str(folder / "tmp"),
        "TEMP": str(folder / "tmp"),
    }
    # TorchServe appends the model's folder to its workers' PYTHONPATH. A checkout that comes before it would replace
    # the modules of the archive.
    entries = filter(_has_no_checkout, environment.pop("PYTHONPATH", "").split(os.pathsep))
    if path := os.pathsep.join(entries):
        environment["PYTHONPATH"] = path
    environment.pop("TS_CONFIG_FILE", None)  # it would override -f
    return psutil.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,  # Ctrl-C must not stop java before it is drained
    )
