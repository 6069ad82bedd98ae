"""Functions that a sandbox runs: well-behaved ones and others."""

import os
import signal
import time

import numpy as np

from serving.core.errors import InvalidImageError
from serving.core.sandbox_process import Call

kept: list[bytes] = []


def warm_up() -> None:
    kept.append(b"warm")


def double(call: Call, *blobs: bytes) -> dict[str, object]:
    for number, blob in enumerate(blobs):
        array = call.allocate(f"double-{number}", [len(blob), 1], np.uint16)
        array[:, 0] = np.frombuffer(blob, np.uint8)
        array *= 2
    call.put("first", np.array([[1.5, 2.5]], np.float32))
    return {"count": len(blobs)}


def remember(_: Call, blob: bytes) -> list[str]:
    kept.append(blob)
    return [item.decode() for item in kept]


def refuse(_: Call) -> None:
    raise InvalidImageError("The image is refused.")


def crash(_: Call) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def crash_once(_: Call, path: bytes) -> str:
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return "survived"
    os.kill(os.getpid(), signal.SIGKILL)
    return "killed"


def raise_unknown(_: Call) -> None:
    raise RuntimeError("unknown")


def loop(call: Call, seconds: bytes) -> None:
    call.limit(memory=2**30, cpu_seconds=int(seconds))
    while True:
        pass


def sleep(_: Call) -> None:
    time.sleep(600)


def allocate(call: Call, megabytes: bytes) -> str:
    call.limit(memory=100 * 2**20, cpu_seconds=5)
    try:
        return str(len(bytearray(int(megabytes) * 2**20)))
    except MemoryError:
        return "refused"


def answer_too_large(_: Call) -> str:
    return "x" * 2**21


def own_pid(_: Call) -> int:
    return os.getpid()
