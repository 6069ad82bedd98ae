"""Start TorchServe and say "ready" when the model can answer: ``python -m serving.torchserve.start``.

It runs until SIGTERM or SIGINT, then answers what is in flight and leaves no process behind. A second signal
does not wait.
"""

import argparse
import base64
import errno
import http.client
import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from threading import Event

import numpy as np

from serving.codec import Picture, encode_png
from serving.contract import MODEL_NAME
from serving.errors import AddressInUseException, ModelFileException, SettingsException, StartupException
from serving.torchserve.instance import Instance, Options

_JAVA = 11  # the oldest that TorchServe runs on
_PATIENCE = 300.0  # seconds to start in
_MOST_WORKERS = 4  # by default, for each takes about 350 MB


def main(arguments: list[str] | None = None) -> int:
    """Serve until told to stop. Return the process's exit code: 0 after a signal, 1 if it could not start or go on."""
    flags = _parser().parse_args(arguments)
    stop, hurry = Event(), Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: (hurry if stop.is_set() else stop).set())
    try:
        options = _options(flags)
        _check(options)
        with Instance(options, forward=flags.verbose) as instance:
            if _wait_until_ready(instance, stop):
                _serve(instance, stop)
                instance.drain(flags.graceful_seconds, hurry)
    except StartupException as error:
        print(f"error: {error.message}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m serving.torchserve.start",
        description="Start TorchServe with the inpainting model, and say when it can answer.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--mar", type=Path, default=Path("models/inpaint.mar"), help="model archive")
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address for predictions and metrics; management stays on loopback",
    )
    parser.add_argument(
        "--port", type=int, default=8080, help="port for predictions; +1 is management, +2 metrics"
    )
    parser.add_argument(
        "--workers", type=int, default=0, help="processes with a model each; 0 for one per core, up to 4"
    )
    parser.add_argument("--threads", type=int, default=0, help="CPU threads of each; 0 shares the cores out")
    parser.add_argument(
        "--device", choices=("cpu", "cuda"), default="cpu", help="cuda refuses to start without a GPU"
    )
    parser.add_argument(
        "--graceful-seconds", type=float, default=30, help="how long a stop waits for requests in flight"
    )
    parser.add_argument("--verbose", action="store_true", help="show what TorchServe says while it starts")
    return parser


def _options(flags: argparse.Namespace) -> Options:
    for name, low, high in (("port", 1, 65533), ("workers", 0, 1024), ("threads", 0, 1024)):
        if not low <= getattr(flags, name) <= high:
            raise SettingsException(f"--{name} is {getattr(flags, name)}: {low} to {high} is right.")
    cores = len(os.sched_getaffinity(0))
    workers = flags.workers or min(cores // flags.threads if flags.threads else cores, _MOST_WORKERS) or 1
    threads = flags.threads or max(1, cores // workers)
    return Options(flags.mar, flags.host, flags.port, workers, threads, flags.device == "cuda")


def _check(options: Options) -> None:
    """Raise what would otherwise be a stack trace of java's, or silence."""
    if not options.mar.is_file():
        raise ModelFileException(
            f"There is no model archive {options.mar}: `python -m export mar` makes one."
        )
    if importlib.util.find_spec("ts") is None:
        raise StartupException('TorchServe is not installed: pip install ".[torchserve]" brings it.')
    _check_java()
    for host, port in (
        (options.host, options.port),
        ("127.0.0.1", options.management_port),
        (options.host, options.metrics_port),
    ):
        _check_address(host, port)


def _check_java() -> None:
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin" if home else None)
    if java is None:
        place = f"below JAVA_HOME, {home}" if home else "on the PATH"
        raise StartupException(
            f"There is no java {place}: TorchServe needs Java {_JAVA} or later, such as OpenJDK 17."
        )
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr  # noqa: S603
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version[1]) < _JAVA:
        found = said.partition("\n")[0] or "one that does not tell its version"
        raise StartupException(
            f"{java} is {found}: TorchServe needs Java {_JAVA} or later, such as OpenJDK 17."
        )


def _check_address(host: str, port: int) -> None:
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        hint = "; choose another --port" if error.errno in (errno.EADDRINUSE, errno.EACCES) else ""
        raise AddressInUseException(f"Cannot listen on {host}:{port}: {error.strerror}{hint}.") from error


def _wait_until_ready(instance: Instance, stop: Event) -> bool:
    """Return True when every worker is ready and one prediction was right, False when told to stop before that."""
    print(f"starting TorchServe, {_shape(instance.options)} ...", file=sys.stderr)
    deadline = time.monotonic() + _PATIENCE
    while not instance.ready():
        if stop.wait(0.2):
            return False
        if reason := instance.failure():
            raise ModelFileException(f"The model cannot be loaded: {reason}")
        if not instance.running:
            raise StartupException(
                f"TorchServe ended before it was ready; its last words: {instance.last_words()}"
            )
        if time.monotonic() > deadline:
            raise StartupException(
                f"TorchServe is not ready after {_PATIENCE:.0f} seconds; --verbose shows what it does."
            )
    try:
        code, headers, body = instance.predict(_canary())
    except (OSError, http.client.HTTPException) as error:
        raise StartupException(f"The model does not answer: {error!r}") from error
    if code != http.HTTPStatus.OK:
        raise StartupException(f"The model does not fill a plain picture: {body.decode(errors='replace')}")
    _say_ready(instance.options, headers)
    return True


def _serve(instance: Instance, stop: Event) -> None:
    instance.forward = True
    while not stop.wait(0.5):
        if not instance.running:
            raise StartupException(f"TorchServe ended by itself; its last words: {instance.last_words()}")


def _canary() -> bytes:
    """Return a request: a grey picture of 178x178 pixels with a hole of 20x20."""
    picture, mask = np.full((178, 178, 3), 128, np.uint8), np.zeros((178, 178, 1), np.uint8)
    mask[80:100, 80:100] = 255
    files = {"image": encode_png(Picture(picture)), "mask": encode_png(Picture(mask))}
    return json.dumps({name: base64.b64encode(file).decode() for name, file in files.items()}).encode()


def _say_ready(options: Options, headers: dict[str, str]) -> None:
    url = f"http://{options.host}:{options.port}"
    model = f"model {headers.get('x-model-version')} on {headers.get('x-execution-provider')}"
    print(
        f"ready: {url} ({model}, {_shape(options)})\n"
        f"  curl -F image=@photo.jpg -F mask=@mask.png -H 'Accept: image/png' -o filled.png "
        f"{url}/predictions/{MODEL_NAME}\n"
        f"  python -c 'from inpaint_client import InpaintClient as C; "
        f'C("{url}").fill("photo.jpg", "mask.png").save("filled.png")\'',
        flush=True,
    )


def _shape(options: Options) -> str:
    return (
        f"{options.workers} x {options.threads} threads" if not options.gpu else f"{options.workers} on GPUs"
    )


if __name__ == "__main__":
    sys.exit(main())
