"""Start TorchServe and print "ready" when the model can answer: ``python -m serving.torchserve.start``.

It runs until SIGTERM or SIGINT, then completes the requests in flight and stops every process. A second signal stops
without waiting for them.
"""

import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from threading import Event

from serving.core.address import example_commands, local_url
from serving.core.errors import AddressInUseError, ModelFileError, StartupError
from serving.torchserve.instance import Instance
from serving.torchserve.options import LOOPBACK, Options, parse_options
from serving.torchserve.relay import Relay

_JAVA = 11  # the oldest version that TorchServe runs on
_STARTUP_SECONDS = 300.0
_POLL_SECONDS = 0.5
_NO_WORKER_SECONDS = 10.0  # TorchServe waits for up to 3 seconds before it restarts a worker


def main(arguments: list[str] | None = None) -> int:
    """Serve until stopped by a signal. Return the exit code: 0 after a signal, 1 after an error."""
    stop, stop_now = Event(), Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: (stop_now if stop.is_set() else stop).set())
    try:
        options = parse_options(arguments)
        java = _check(options)
        with _bind(options.host, options.port) as listener, Instance(options, java) as instance:
            _log(f"Starting TorchServe, {options} ...")
            if options.host != LOOPBACK:
                _log(
                    f"warning: TorchServe listens on {options.host} and requires no API key: use a reverse proxy."
                )
            if _wait_until_ready(instance, stop):
                with Relay(listener, instance.address) as relay:
                    print(_how_to_try(options, instance), flush=True)
                    _watch(instance, stop)
                    _log(
                        "Stopping after the requests in flight are completed; a second signal stops without waiting."
                    )
                    relay.drain(options.graceful_seconds, stop_now)
    except StartupError as error:
        _log(f"error: {error.message}")
        return 1
    return 0


def _log(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _check(options: Options) -> str:
    """Return the path of java. Check in advance for errors that TorchServe reports with stack traces or not at all.

    Raises:
        StartupError: TorchServe or a suitable Java is not installed.
        AddressInUseError: the management or the metrics address is not available.
    """
    if importlib.util.find_spec("ts") is None:
        raise StartupError('TorchServe is not installed: run pip install ".[torchserve]".')
    home = os.environ.get("JAVA_HOME")  # as TorchServe does
    java = shutil.which("java", path=f"{home}/bin" if home else None)
    required = f"TorchServe needs Java {_JAVA} or later, such as OpenJDK 17"
    if java is None:
        raise StartupError(f"There is no java {f'in {home}/bin' if home else 'on the PATH'}: {required}.")
    output = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr  # noqa: S603
    version = re.search(r'version "(\d+)', output)
    if version is None or int(version[1]) < _JAVA:
        raise StartupError(f"{java} reports {output.partition(chr(10))[0]!r}: {required}.")
    for address in ((LOOPBACK, options.management_port), (options.host, options.metrics_port)):
        _bind(*address).close()
    return java


def _bind(host: str, port: int) -> socket.socket:
    """Bind an address without listening: connections are accepted only once the model is ready.

    Raises:
        AddressInUseError: the address is not available.
    """
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise AddressInUseError(
            f"Cannot listen on {host}:{port} ({error.strerror}): choose another --port or --host."
        ) from error
    return listener


def _wait_until_ready(instance: Instance, stop: Event) -> bool:
    """Return True once every worker has loaded the model, or False if stopped before that."""
    deadline = time.monotonic() + _STARTUP_SECONDS
    while not instance.workers_ready():
        if stop.wait(0.2):
            return False
        if reason := instance.failure():
            raise ModelFileError(f"The model cannot be loaded: {reason}")
        if not instance.running:
            raise StartupError(
                f"TorchServe did not start; the last line of its output: {instance.last_line()}"
            )
        if time.monotonic() > deadline:
            raise StartupError(
                f"TorchServe is not ready after {_STARTUP_SECONDS:.0f} s; run it with --verbose to see why."
            )
    return True


def _watch(instance: Instance, stop: Event) -> None:
    """Forward TorchServe's output and watch its processes; return when stopped by a signal.

    Raises:
        StartupError: TorchServe exited, or has no workers left. It would then accept requests and never answer.
    """
    instance.forward = True
    seen = time.monotonic()
    while not stop.wait(_POLL_SECONDS):
        if not instance.running:
            raise StartupError(
                f"TorchServe exited unexpectedly; the last line of its output: {instance.last_line()}"
            )
        if instance.has_workers():
            seen = time.monotonic()
        elif time.monotonic() - seen > _NO_WORKER_SECONDS:
            raise StartupError(
                "Every worker died, and again after a restart: is there enough memory? Restart TorchServe to continue."
            )


def _how_to_try(options: Options, instance: Instance) -> str:
    url = local_url(options.host, options.port)
    answers = {model: instance.predict(model) for model in instance.models}
    models = ", ".join(f"{model} {version}" for model, (version, _) in answers.items())
    name, (_, provider) = next(iter(answers.items()))
    return f"""\
ready: {models} on {provider} at {url} ({options}). Try it:
{example_commands(url, name)}"""


if __name__ == "__main__":
    sys.exit(main())
