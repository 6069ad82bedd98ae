"""Run a function on a client's data in a process of its own.

A crash, an endless loop or excessive memory use ends that process, and so costs one call. Each call gets a
fresh process, so it cannot read another call's data. Arrays are returned in shared memory.

A system without `fork`, such as Windows, has no such processes: functions run in the caller's process there,
without limits.
"""

import atexit
import contextlib
import json
import logging
import math
import mmap
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.core import errors, sandbox_process
from serving.core.errors import InpaintError, InternalServerError
from serving.core.sandbox_process import MAX_ARRAYS, NUMBER, LocalCall, is_sealed

logger = logging.getLogger(__name__)

AVAILABLE = hasattr(os, "fork")
"""Whether this system can run calls in processes of their own."""

_ROOT = (
    Path(__file__).resolve().parents[2]
)  # the folder of the package `serving`, in a checkout or in an archive
_POLL = 0.05  # seconds between two checkpoints
_START_SECONDS = 60.0
_STOP_SECONDS = 10.0
_MAX_FACTS = 2**20  # bytes
_DTYPES = ("|u1", "<u2", "<f4", "|b1")
# One thread, because forking with more is not safe. On macOS, Objective-C would refuse to work after a fork.
_ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OBJC_DISABLE_INITIALIZE_FORK_SAFETY": "YES",
}

Checkpoint = Callable[[], None]


def no_checkpoint() -> None:
    """Do nothing: for work that is never cancelled."""


class SandboxedCallError(Exception):
    """The process of a call ended without a result. Callers turn it into an error of the contract.

    Attributes:
        timed_out: whether it took too long; otherwise it crashed or was killed.
    """

    def __init__(self, *, timed_out: bool) -> None:
        super().__init__("took too long" if timed_out else "ended without a result")
        self.timed_out = timed_out


@dataclass(frozen=True)
class Result:
    """What a call returned.

    Attributes:
        facts: a JSON-serialisable value.
        arrays: the arrays by name; read-only.
    """

    facts: Any
    arrays: Mapping[str, NDArray[Any]]


class Sandbox:
    """Starts processes on first use and restarts them when they end. Its methods are thread-safe."""

    def __init__(self, modules: Sequence[str], children: int = 2) -> None:
        """Create a sandbox.

        Args:
            modules: the modules that its functions are in, imported once. Each has a function `warm_up`,
                which is called before the first call.
            children: processes that exist at the same time: one per concurrent call, and one that is ready.
        """
        script = f"from {sandbox_process.__name__} import main; main({children}, {list(modules)})"
        self._command = [sys.executable, "-c", script]
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def start(self) -> None:
        """Start the processes now, so that the first call does not wait for them."""
        if not AVAILABLE:
            return
        with self._lock:
            self._start()

    def close(self) -> None:
        """End the processes."""
        with self._lock:
            self._close()

    def run(
        self,
        function: Callable[..., Any],
        *blobs: bytes | memoryview,
        seconds: float,
        checkpoint: Checkpoint = no_checkpoint,
    ) -> Result:
        """Run `function(call, *blobs)` in a process of its own, where `call` is a `sandbox_process.Call`.

        Args:
            function: defined at the top level of one of the modules. It puts the arrays that it returns into
                `call`, and returns a JSON-serialisable value.
            blobs: a client's data.
            seconds: wall time after which the process is killed.
            checkpoint: called about 20 times a second. An exception that it raises kills the process.

        Raises:
            InpaintError: as raised by the function.
            SandboxedCallError: the process crashed, was killed, or took too long.
            InternalServerError: no process can be started.
        """
        if not AVAILABLE:
            _warn_of_no_limits()
            call = LocalCall()
            return Result(function(call, *blobs), call.arrays)
        connection, started = self._connect(), time.monotonic()
        child: int | None = None
        try:
            with connection:
                waiting = _Waiting(connection, checkpoint)
                child = waiting.number(started + _START_SECONDS)
                parts = [f"{function.__module__}:{function.__name__}".encode(), *blobs]
                deadline = time.monotonic() + seconds
                head = [len(parts), *map(len, parts)]
                waiting.send(b"".join(map(NUMBER.pack, head)), deadline)
                for blob in parts:
                    waiting.send(blob, deadline)
                return _result(waiting, deadline)
        except (EOFError, ConnectionError) as error:
            if child is None and self._is_down():
                logger.error("The decoder process could not be started.")
                raise InternalServerError("The server cannot decode images; see its log.") from error
            raise SandboxedCallError(timed_out=False) from error
        except BaseException as error:
            if (
                child is not None
            ):  # it still runs, or is not yet reaped: its parent reaps it once the connection closes
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
            if isinstance(error, TimeoutError):
                raise SandboxedCallError(timed_out=True) from error
            raise

    def _connect(self) -> socket.socket:
        """Return a connection to a child that is ready, or to the next one that will be."""
        ours, theirs = socket.socketpair()
        with theirs:
            for attempt in range(2):
                with self._lock:
                    control = self._start()
                    try:
                        socket.send_fds(control, [b"."], [theirs.fileno()])
                    except OSError:
                        self._close()
                        if attempt:
                            ours.close()
                            raise
                    else:
                        break
        return ours

    def _start(self) -> socket.socket:
        if self._process is not None and self._process.poll() is not None:
            logger.warning(
                "The decoder process ended (exit code %s): restarting it.", self._process.returncode
            )
            self._close()
        if self._control is None:
            self._control, theirs = socket.socketpair()
            with theirs:
                path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
                self._process = subprocess.Popen(  # noqa: S603
                    self._command,
                    env={**os.environ, **_ENVIRONMENT, "PYTHONPATH": path},
                    stdin=theirs.fileno(),
                )
            atexit.register(self.close)
        return self._control

    def _close(self) -> None:
        if self._control is not None and self._process is not None:
            atexit.unregister(self.close)
            self._control.close()
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._control = self._process = None

    def _is_down(self) -> bool:
        with self._lock:
            return self._process is None or self._process.poll() is not None


class _Waiting:
    """Sends and receives with a deadline and checkpoints."""

    def __init__(self, connection: socket.socket, checkpoint: Checkpoint) -> None:
        self._connection = connection
        self._checkpoint = checkpoint
        connection.settimeout(_POLL)

    def number(self, deadline: float) -> int:
        return int(NUMBER.unpack(self.receive(NUMBER.size, deadline))[0])

    def send(self, data: bytes | memoryview, deadline: float) -> None:
        view = memoryview(data)
        while view:
            view = view[self._retry(deadline, self._connection.send, view) :]

    def receive(self, size: int, deadline: float) -> bytes:
        parts = []
        while size:
            part: bytes = self._retry(deadline, self._connection.recv, size)
            if not part:
                raise EOFError
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def number_and_files(self, deadline: float) -> tuple[int, list[int]]:
        data, files, _, _ = self._retry(deadline, socket.recv_fds, self._connection, NUMBER.size, MAX_ARRAYS)
        try:
            data += self.receive(NUMBER.size - len(data), deadline) if data else b""
            if not data:
                raise EOFError
        except BaseException:
            for file in files:
                os.close(file)
            raise
        return NUMBER.unpack(data)[0], files

    def _retry(self, deadline: float, step: Callable[..., Any], *arguments: object) -> Any:
        while True:
            try:
                return step(*arguments)
            except TimeoutError:
                self._checkpoint()
                if time.monotonic() > deadline:
                    raise


@cache
def _warn_of_no_limits() -> None:
    logger.warning(
        "This system cannot limit the memory and time of decoding a file: accept only files that you trust."
    )


def _result(waiting: _Waiting, deadline: float) -> Result:
    size, files = waiting.number_and_files(deadline)
    try:
        if size > _MAX_FACTS:
            raise EOFError
        try:
            message = json.loads(waiting.receive(size, deadline))
            arrays = {
                str(entry["name"]): _array(file, entry["shape"], entry["dtype"])
                for file, entry in zip(files, message["arrays"], strict=True)
            }
            facts = message["facts"]
            failure = facts.get("error") if isinstance(facts, dict) else None
        except (
            ValueError,
            KeyError,
            TypeError,
            OSError,
        ) as error:  # not what this code sends: the process is compromised
            raise EOFError from error
    finally:
        for file in files:
            os.close(file)
    if failure is not None:
        kind = getattr(errors, str(failure), None)
        if not (isinstance(kind, type) and issubclass(kind, InpaintError)):
            raise EOFError
        raise kind(str(facts.get("message")))
    return Result(facts, arrays)


def _array(file: int, shape: list[int], dtype: str) -> NDArray[Any]:
    """Map an array, after checking that its file is large enough and cannot be resized."""
    if dtype not in _DTYPES or not all(type(n) is int and n > 0 for n in shape):
        raise ValueError(dtype)
    size = np.dtype(dtype).itemsize * math.prod(shape)
    if os.fstat(file).st_size < size or not is_sealed(file):
        raise ValueError(size)
    return np.frombuffer(mmap.mmap(file, size, prot=mmap.PROT_READ), dtype).reshape(shape)
