"""Start TorchServe, and say "ready" when the model can answer: ``python -m serving.torchserve.start``.

It runs until SIGTERM or SIGINT, then has the requests in flight answered and leaves no process behind. A second
signal does not wait for them.
"""

import signal
import sys
import time
from collections.abc import Mapping
from threading import Event

from serving.core.contract import MODEL_NAME
from serving.core.errors import ModelFileException, StartupException
from serving.torchserve.instance import Instance
from serving.torchserve.options import LOOPBACK, Options, parse_options
from serving.torchserve.preflight import check

_PATIENCE = 300.0  # seconds to start in
_POLL_SECONDS = 0.5
_WORKERLESS_SECONDS = 10.0  # TorchServe pauses for up to 3 before it starts a worker again


def main(arguments: list[str] | None = None) -> int:
    """Serve until told to stop. Return the exit code: 0 after a signal, 1 if it could not start or go on."""
    stop, hurry = Event(), Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: (hurry if stop.is_set() else stop).set())
    try:
        options = parse_options(arguments)
        check(options)
        with Instance(options) as instance:
            _note(f"Starting TorchServe, {options} ...")
            if options.host != LOOPBACK:
                _note(
                    f"warning: TorchServe asks for no key, and listens on {options.host}: use a reverse proxy."
                )
            if _wait_until_ready(instance, stop):
                print(_how_to_try(options, instance.probe.predict()), flush=True)
                _watch(instance, stop)
                _note("Stopping once the requests in flight are answered; a second signal does not wait.")
                instance.drain(hurry)
    except StartupException as error:
        _note(f"error: {error.message}")
        return 1
    return 0


def _note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _wait_until_ready(instance: Instance, stop: Event) -> bool:
    """Return True once every worker has loaded the model, False when told to stop before that."""
    deadline = time.monotonic() + _PATIENCE
    while not instance.probe.workers_ready():
        if stop.wait(0.2):
            return False
        if reason := instance.failure():
            raise ModelFileException(f"The model cannot be loaded: {reason}")
        if not instance.running:
            raise StartupException(f"TorchServe did not start; its last words: {instance.last_words()}")
        if time.monotonic() > deadline:
            raise StartupException(f"TorchServe is not ready after {_PATIENCE:.0f} s; --verbose shows why.")
    return True


def _watch(instance: Instance, stop: Event) -> None:
    """Return when told to stop; until then pass on what TorchServe says.

    Raises:
        StartupException: TorchServe ended, or gave up its workers. It would then take requests and never answer.
    """
    instance.forward = True
    seen = time.monotonic()
    while not stop.wait(_POLL_SECONDS):
        if not instance.running:
            raise StartupException(f"TorchServe ended by itself; its last words: {instance.last_words()}")
        if instance.has_workers():
            seen = time.monotonic()
        elif time.monotonic() - seen > _WORKERLESS_SECONDS:
            raise StartupException(
                "Every worker died, again when it was started again: is there enough memory? Start anew to go on."
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
