"""Start TorchServe and print "ready" when the model can answer: ``python -m serving.torchserve.start``.

It runs until SIGTERM or SIGINT, then completes the requests in flight and stops every process. A second signal stops
without waiting for them.
"""

import signal
import sys
import time
from collections.abc import Mapping
from threading import Event

from serving.core.errors import ModelFileError, StartupError
from serving.core.graph import MODEL_NAME
from serving.torchserve.instance import Instance
from serving.torchserve.options import LOOPBACK, Options, parse_options
from serving.torchserve.preflight import check

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
        check(options)
        with Instance(options) as instance:
            _log(f"Starting TorchServe, {options} ...")
            if options.host != LOOPBACK:
                _log(
                    f"warning: TorchServe listens on {options.host} and requires no API key: use a reverse proxy."
                )
            if _wait_until_ready(instance, stop):
                print(_how_to_try(options, instance.probe.predict()), flush=True)
                _watch(instance, stop)
                _log(
                    "Stopping after the requests in flight are completed; a second signal stops without waiting."
                )
                instance.drain(stop_now)
    except StartupError as error:
        _log(f"error: {error.message}")
        return 1
    return 0


def _log(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _wait_until_ready(instance: Instance, stop: Event) -> bool:
    """Return True once every worker has loaded the model, or False if stopped before that."""
    deadline = time.monotonic() + _STARTUP_SECONDS
    while not instance.probe.workers_ready():
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


def _how_to_try(options: Options, headers: Mapping[str, str]) -> str:
    url = f"http://{options.host}:{options.port}"
    version, provider = headers["x-model-version"], headers["x-execution-provider"]
    return f"""\
ready: {MODEL_NAME} {version} on {provider} at {url} ({options}). Try it:
  curl -F image=@photo.jpg -F mask=@mask.png -H "Accept: image/png" {url}/predictions/{MODEL_NAME} -o filled.png
  inpaint fill photo.jpg mask.png -o filled.png --url {url}"""


if __name__ == "__main__":
    sys.exit(main())
