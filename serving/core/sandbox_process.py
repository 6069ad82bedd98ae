"""The process behind `sandbox.Sandbox`: it keeps children ready, and each child runs one call and exits.

The sandbox starts it with a socket as its standard input and calls `main`. It imports the modules once and forks, so a
child starts fast and has no data of another call in its memory. A child waits for a connection, passed through the
socket, and then

1. sends its process id (`NUMBER`), so that the caller can kill it;
2. receives a call: the sizes of what follows, the name of a function of one of the modules, and the blobs;
3. sends the result: the size of a JSON object, the object, and one file descriptor per array.

What a child sends is parsed as untrusted data.
"""

import contextlib
import gc
import importlib
import json
import math
import mmap
import os
import signal
import socket
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from serving.core.errors import InpaintError

with contextlib.suppress(ImportError):  # Windows has neither
    import fcntl
    import resource

NUMBER = struct.Struct("!Q")
"""How sizes and process ids are sent."""

MAX_ARRAYS = 8
"""Arrays that one call may return."""

_HAS_SEALS = hasattr(os, "memfd_create")
_CALLER_GONE = 3  # exit code of a child whose caller has closed the socket
_PAUSE = 0.01  # seconds before the next child after one that was killed: limits the rate of restarts


class Call(Protocol):
    """What a function in the sandbox may use: limits for itself, and memory for its results.

    Attributes:
        in_process: whether it runs in the caller's own process, without limits.
    """

    in_process: bool

    def limit(self, *, memory: int, cpu_seconds: int) -> None:
        """Limit this process. Allocations over the limit fail; when the CPU time is up, the system kills it.

        Args:
            memory: bytes that may be allocated beyond what the process had before the call. macOS does not
                enforce it.
            cpu_seconds: CPU time since the start of the process.
        """

    def allocate(self, name: str, shape: Sequence[int], dtype: Any) -> NDArray[Any]:
        """Return an array of zeros, which the caller receives under this name."""

    def put(self, name: str, array: NDArray[Any]) -> None:
        """Give an array to the caller under this name. It is copied unless the call is in process."""


class LocalCall:
    """A call in the caller's own process. Implements `Call`."""

    in_process = True

    def __init__(self) -> None:
        self.arrays: dict[str, NDArray[Any]] = {}

    def limit(self, *, memory: int, cpu_seconds: int) -> None:
        """Do nothing: limits would apply to the whole process."""

    def allocate(self, name: str, shape: Sequence[int], dtype: Any) -> NDArray[Any]:
        """Allocate an array of zeros."""
        array = np.zeros(shape, dtype)
        self.put(name, array)
        return array

    def put(self, name: str, array: NDArray[Any]) -> None:
        """Keep the array itself."""
        self.arrays[name] = array


class _SandboxedCall:
    """A call in a process of its own. Its arrays are in shared memory. Implements `Call`."""

    in_process = False

    def __init__(self) -> None:
        self._files: list[int] = []
        self._facts: list[dict[str, Any]] = []

    def limit(self, *, memory: int, cpu_seconds: int) -> None:
        _set_soft_limit(resource.RLIMIT_AS, _idle_memory() + memory)
        _set_soft_limit(resource.RLIMIT_CPU, cpu_seconds)

    def allocate(self, name: str, shape: Sequence[int], dtype: Any) -> NDArray[Any]:
        dtype = np.dtype(dtype)
        size = dtype.itemsize * math.prod(shape)
        file = _shared_file(size)
        self._files.append(file)
        self._facts.append({"name": name, "shape": [int(n) for n in shape], "dtype": dtype.str})
        return np.frombuffer(mmap.mmap(file, size), dtype).reshape(shape)

    def put(self, name: str, array: NDArray[Any]) -> None:
        self.allocate(name, array.shape, array.dtype)[...] = array

    def send(self, connection: socket.socket, facts: Any) -> None:
        """Send the result."""
        text = json.dumps({"facts": facts, "arrays": self._facts}).encode()
        socket.send_fds(connection, [NUMBER.pack(len(text))], self._files)
        connection.sendall(text)


def main(count: int, names: list[str]) -> None:
    """Keep `count` children ready, with these modules imported, until the caller has gone."""
    modules = [importlib.import_module(name) for name in names]
    # A stop signal to the whole process group is for the caller to handle: it finishes its requests, then
    # closes the socket.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    for module in modules:
        module.warm_up()
    _idle_memory()
    gc.collect()
    gc.freeze()
    control = socket.socket(fileno=sys.stdin.fileno())
    children: set[int] = set()
    while True:
        while len(children) < count:
            with contextlib.suppress(OSError):  # out of processes or memory: wait for a child to end
                children.add(_fork(control, modules))
        child, status = os.wait()
        children.discard(child)
        code = os.waitstatus_to_exitcode(status)
        if code == _CALLER_GONE:
            break
        if code:
            time.sleep(_PAUSE)
    for child in children:
        os.kill(child, signal.SIGKILL)


def _fork(control: socket.socket, modules: list[ModuleType]) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        code = _serve(control, modules)
    except (BrokenPipeError, ConnectionResetError, EOFError):  # the caller has given up
        code = 0
    finally:
        os._exit(code)  # without the parent's cleanup


def _serve(control: socket.socket, modules: list[ModuleType]) -> int:
    """Wait for one call and run it. Return the exit code."""
    gc.disable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):  # when memory runs out, the system kills this process before any other
        Path("/proc/self/oom_score_adj").write_text("1000")
    _, descriptors, _, _ = socket.recv_fds(control, 1, 1)
    if not descriptors:
        return _CALLER_GONE
    control.close()
    with socket.socket(fileno=descriptors[0]) as connection:
        connection.sendall(NUMBER.pack(os.getpid()))
        function, blobs = _receive_call(connection, modules)
        # Decoders print what is wrong with a file. The client is told; no client may flood the log.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        call = _SandboxedCall()
        try:
            facts = function(call, *blobs)
        except InpaintError as error:
            _SandboxedCall().send(connection, {"error": type(error).__name__, "message": error.message})
        else:
            call.send(connection, facts)
    return 0


def _receive_call(
    connection: socket.socket, modules: list[ModuleType]
) -> tuple[Callable[..., Any], list[bytes]]:
    count = NUMBER.unpack(receive(connection, NUMBER.size))[0]
    sizes = [NUMBER.unpack(receive(connection, NUMBER.size))[0] for _ in range(count)]
    call, *blobs = (receive(connection, size) for size in sizes)
    home, _, name = call.decode().partition(":")
    function: Callable[..., Any] = getattr(next(m for m in modules if m.__name__ == home), name)
    return function, blobs


def receive(connection: socket.socket, size: int) -> bytes:
    """Receive exactly `size` bytes.

    Raises:
        EOFError: the other side has closed the connection.
    """
    buffer = bytearray(size)
    view, received = memoryview(buffer), 0
    while received < size:
        count = connection.recv_into(view[received:])
        if not count:
            raise EOFError
        received += count
    return bytes(buffer)


def is_sealed(file: int) -> bool:
    """Tell whether nobody can change the size of an array's file. True where the platform has no seals."""
    return not _HAS_SEALS or fcntl.fcntl(file, fcntl.F_GET_SEALS) & _seals() == _seals()


def _seals() -> int:
    return fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


def _shared_file(size: int) -> int:
    """Return the descriptor of a file of zeros in memory or, where the platform has none, on disk."""
    if not _HAS_SEALS:
        with tempfile.TemporaryFile() as file:
            os.ftruncate(file.fileno(), size)
            return os.dup(file.fileno())
    descriptor = os.memfd_create("inpaint", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, size)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _seals())
    return descriptor


@cache
def _idle_memory() -> int:
    """Return the address space of an idle child, in bytes. A child inherits its parent's value."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * mmap.PAGESIZE
    except OSError:
        return 2**30


def _set_soft_limit(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    with contextlib.suppress(ValueError, OSError):  # the platform does not support this limit
        resource.setrlimit(kind, (value, hard))
