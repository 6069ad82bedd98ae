"""Checks before TorchServe starts, which would report these problems with Java stack traces or not at all."""

import importlib.util
import os
import re
import shutil
import socket
import subprocess

from serving.core.errors import AddressInUseError, ModelFileError, StartupError
from serving.torchserve.options import LOOPBACK, Options

_JAVA = 11  # the oldest that TorchServe runs on


def check(options: Options) -> None:
    """Raise an error for the first problem that prevents a start.

    Raises:
        ModelFileError: there is no model archive.
        AddressInUseError: one of the three addresses is not available.
        StartupError: TorchServe or a suitable Java is not installed.
    """
    if not options.mar.is_file():
        raise ModelFileError(
            f"There is no model archive {options.mar}: create one with `python -m export mar`."
        )
    if importlib.util.find_spec("ts") is None:
        raise StartupError('TorchServe is not installed: run pip install ".[torchserve]".')
    _check_java()
    _check_address(options.host, options.port)
    _check_address(LOOPBACK, options.management_port)
    _check_address(options.host, options.metrics_port)


def _check_java() -> None:
    home = os.environ.get("JAVA_HOME")  # as TorchServe does
    java = shutil.which("java", path=f"{home}/bin" if home else None)
    required = f"TorchServe needs Java {_JAVA} or later, such as OpenJDK 17"
    if java is None:
        raise StartupError(f"There is no java {f'in {home}/bin' if home else 'on the PATH'}: {required}.")
    output = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr  # noqa: S603
    version = re.search(r'version "(\d+)', output)
    if version is None or int(version[1]) < _JAVA:
        raise StartupError(f"{java} reports {output.partition(chr(10))[0]!r}: {required}.")


def _check_address(host: str, port: int) -> None:
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        raise AddressInUseError(
            f"Cannot listen on {host}:{port} ({error.strerror}): choose another --port or --host."
        ) from error
