"""The processes of one TorchServe instance: start, drain, stop."""

import fcntl
import os
import re
import signal
import subprocess
import sys
import time
from collections import deque
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from typing import Self

import psutil

from serving.core.graph import MODEL_NAME
from serving.torchserve.folder import Folder
from serving.torchserve.options import Options
from serving.torchserve.probe import Probe

_LOGGING = Path(__file__).with_name("log4j2.xml")

_DIED = "Backend worker process died."
# The first exception of a traceback is the cause, but an error of this project has the better message.
_OWN_ERROR = re.compile(r"serving\.core\.errors\.\w+: (.+)")
_ANY_ERROR = re.compile(r" - ((?:\w+\.)*\w*(?:Error|Exception): .+)")

_LINES_KEPT = 2000
_POLL_SECONDS = 0.1
# Requests on their way to a worker and responses on their way back are not visible: require several quiet polls.
_QUIET_POLLS = 3
_STOP_SECONDS = 15.0  # java takes about five


class Instance:
    """A running TorchServe. As a context manager it stops the processes and removes the folder on exit."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.probe = Probe(options)
        self.forward = options.verbose
        """Whether TorchServe's output is written to standard error."""
        self._lines: deque[str] = deque(maxlen=_LINES_KEPT)

    def __enter__(self) -> Self:
        """Start the processes.

        Raises:
            ModelFileError: the file is not a model archive of this project.
        """
        self._folder = Folder(self.options)
        try:
            self._process = _launch(self._folder)
        except BaseException:
            self._folder.remove()
            raise
        Thread(target=self._read, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop every process, with SIGKILL if necessary, and remove the folder."""
        self._signal(signal.SIGTERM)
        deadline = time.monotonic() + _STOP_SECONDS
        while self._has_processes():
            if time.monotonic() > deadline:
                self._signal(signal.SIGKILL)
            time.sleep(_POLL_SECONDS)
        self._folder.remove()

    @property
    def running(self) -> bool:
        """Whether TorchServe's process runs; it may not be ready yet."""
        return self._process.poll() is None

    def has_workers(self) -> bool:
        """Tell whether there is a worker process, even one that is still starting.

        TorchServe's API cannot tell: it reports UNLOADING for a worker that is starting and for one that it gave up.
        """
        with suppress(psutil.NoSuchProcess):
            return any(java.children() for java in psutil.Process(self._process.pid).children())
        return False

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

    def drain(self, stop_now: Event) -> None:
        """Wait until no request is in flight, `stop_now` is set, or the options' `graceful_seconds` have passed."""
        quiet, deadline = 0, time.monotonic() + self.options.graceful_seconds
        while quiet < _QUIET_POLLS and time.monotonic() < deadline and not stop_now.wait(_POLL_SECONDS):
            quiet = 0 if self.probe.requests_waiting() or self._working() else quiet + 1

    def _working(self) -> bool:
        """Tell whether a worker handles a request: it then holds a shared lock on its handler's file."""
        with (self._folder.model / "handler.py").open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def _read(self) -> None:
        for line in self._process.stdout or ():
            self._lines.append(line.rstrip())
            if self.forward:
                sys.stderr.write(line)

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def _has_processes(self) -> bool:
        """Tell whether the group has a process left, after reaping orphans."""
        self._process.poll()
        with suppress(ChildProcessError):
            while os.waitpid(-self._process.pid, os.WNOHANG)[0]:
                pass
        try:
            os.killpg(self._process.pid, 0)
        except ProcessLookupError:
            return False
        return True


def _launch(folder: Folder) -> subprocess.Popen[str]:
    command = [
        *(sys.executable, "-m", "ts.model_server", "--start", "--foreground", "--no-config-snapshots"),
        *("--model-store", str(folder.store)),
        *("--models", f"{MODEL_NAME}={folder.model.name}"),
        *("--ts-config", str(folder.settings)),
        *("--log-config", str(_LOGGING)),
    ]
    environment = {**os.environ, "TMPDIR": str(folder.temporary), "TEMP": str(folder.temporary)}
    environment.pop("TS_CONFIG_FILE", None)  # it overrides --ts-config
    # The archive's modules take precedence, even if PYTHONPATH includes a checkout of this project.
    environment["PYTHONPATH"] = os.pathsep.join(
        filter(None, [str(folder.model), os.environ.get("PYTHONPATH")])
    )
    # A process group of its own: Ctrl-C must not stop Java before it is drained, and one signal reaches all processes.
    return subprocess.Popen(  # noqa: S603
        command,
        cwd=folder.path,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
