"""What is checked before TorchServe starts, which would answer each with java's stack traces, or with silence."""

import importlib.util
import os
import re
import shutil
import socket
import subprocess

from serving.core.errors import AddressInUseException, ModelFileException, StartupException
from serving.torchserve.options import LOOPBACK, Options

_JAVA = 11  # the oldest that TorchServe runs on


def check(options: Options) -> None:
    """Raise the first thing that is in the way of a start.

    Raises:
        ModelFileException: there is no model archive.
        AddressInUseException: one of the three addresses cannot be listened on.
        StartupException: TorchServe or a java for it is not installed.
    """
    if not options.mar.is_file():
        raise ModelFileException(
            f"There is no model archive {options.mar}: `python -m export mar` makes one."
        )
    if importlib.util.find_spec("ts") is None:
        raise StartupException('TorchServe is not installed: pip install ".[torchserve]" brings it.')
    _check_java()
    _check_address(options.host, options.port)
    _check_address(LOOPBACK, options.management_port)
    _check_address(options.host, options.metrics_port)


def _check_java() -> None:
    home = os.environ.get("JAVA_HOME")  # TorchServe's own rule
    java = shutil.which("java", path=f"{home}/bin" if home else None)
    wanted = f"TorchServe needs Java {_JAVA} or later, such as OpenJDK 17"
    if java is None:
        raise StartupException(f"There is no java {f'in {home}/bin' if home else 'on the PATH'}: {wanted}.")
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr  # noqa: S603
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version[1]) < _JAVA:
        raise StartupException(f"{java} says it is {said.partition(chr(10))[0]!r}: {wanted}.")


def _check_address(host: str, port: int) -> None:
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        raise AddressInUseException(
            f"Cannot listen on {host}:{port} ({error.strerror}): choose another --port or --host."
        ) from error
