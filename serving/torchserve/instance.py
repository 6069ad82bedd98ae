"""The processes of one TorchServe: started together, drained, and stopped without remains."""

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

from serving.core.contract import MODEL_NAME
from serving.torchserve.folder import Folder
from serving.torchserve.options import Options
from serving.torchserve.probe import Probe

_LOGGING = Path(__file__).with_name("log4j2.xml")

_DIED = "Backend worker process died."
# The first exception of a traceback is the cause; but one of this project's own says more.
_OWN_ERROR = re.compile(r"serving\.core\.errors\.\w+: (.+)")
_ANY_ERROR = re.compile(r" - ((?:\w+\.)*\w*(?:Error|Exception): .+)")

_LINES_KEPT = 2000
_POLL_SECONDS = 0.1
# A request is nowhere to be seen on its way to a worker, nor is its answer on the way back.
_QUIET_POLLS = 3
_STOP_SECONDS = 15.0  # java takes about five


class Instance:
    """A TorchServe, a context manager: on leaving it, its processes and its folder are gone."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.probe = Probe(options)
        self.forward = options.verbose
        """Whether TorchServe's own lines go to standard error."""
        self._lines: deque[str] = deque(maxlen=_LINES_KEPT)

    def __enter__(self) -> Self:
        """Start the processes.

        Raises:
            ModelFileException: the file is no model archive of this project.
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
        """Stop every process, by force if need be, and remove the folder."""
        self._signal(signal.SIGTERM)
        deadline = time.monotonic() + _STOP_SECONDS
        while self._anyone_left():
            if time.monotonic() > deadline:
                self._signal(signal.SIGKILL)
            time.sleep(_POLL_SECONDS)
        self._folder.remove()

    @property
    def running(self) -> bool:
        """Whether TorchServe is there, not whether it can answer."""
        return self._process.poll() is None

    def has_workers(self) -> bool:
        """Tell whether a worker is there, be it still starting.

        TorchServe's API has the same word, UNLOADING, for one that is starting and one that was given up.
        """
        with suppress(psutil.NoSuchProcess):
            return any(java.children() for java in psutil.Process(self._process.pid).children())
        return False

    def failure(self) -> str | None:
        """Return why a worker cannot load the model; None as long as none has failed."""
        lines = list(self._lines)
        if any(_DIED in line for line in lines):
            for pattern in (_OWN_ERROR, _ANY_ERROR):
                for found in filter(None, map(pattern.search, lines)):
                    return found[1]
        return None

    def last_words(self) -> str:
        """Return the last line that TorchServe wrote."""
        return self._lines[-1] if self._lines else "none"

    def drain(self, hurry: Event) -> None:
        """Wait until no request is in flight, at most the options' `graceful_seconds`, or until told to hurry."""
        quiet, deadline = 0, time.monotonic() + self.options.graceful_seconds
        while quiet < _QUIET_POLLS and time.monotonic() < deadline and not hurry.wait(_POLL_SECONDS):
            quiet = 0 if self.probe.requests_waiting() or self._working() else quiet + 1

    def _working(self) -> bool:
        """Tell whether a worker has a request in hand: it then holds a shared lock on its handler's file."""
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

    def _anyone_left(self) -> bool:
        """Tell whether a process of the group is left, after burying those whose parent died first."""
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
    environment.pop("TS_CONFIG_FILE", None)  # it would take the place of --ts-config
    # The archive's modules come first, also where PYTHONPATH leads to a checkout of this project.
    environment["PYTHONPATH"] = os.pathsep.join(
        filter(None, [str(folder.model), os.environ.get("PYTHONPATH")])
    )
    # A process group of its own: Ctrl-C must not reach java before it is drained, and one signal reaches all.
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
