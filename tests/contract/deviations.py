"""Every way in which an engine deviates from the contract, with the reason.

Everything else is the same on all engines, and is checked by the same tests.
"""

from dataclasses import dataclass, replace

from engines import Engine


@dataclass(frozen=True)
class Deviations:
    """What a test has to know about one engine.

    Attributes:
        says_too_large: whether a 413 for too many bytes has the contract's body.
        says_retry_after: whether a 503 for a full queue has the header `Retry-After`.
        full_queue_type: the error type of that 503.
        counter: the name of the Prometheus counter that counts predictions.
        server: the name that the server reports, or None if it reports none.
        finds_marks: whether it answers `POST /masks/marks`, which needs a model of its own.
    """

    says_too_large: bool
    says_retry_after: bool
    full_queue_type: str
    counter: str
    server: str | None
    finds_marks: bool


_SERVER = Deviations(
    says_too_large=True,
    says_retry_after=True,
    full_queue_type="OverloadedException",
    counter="inpaint_http_requests_total",
    server="inpaint-serving",
    finds_marks=True,
)
_OF = {
    "onnx": _SERVER,
    "ray": _SERVER,
    # TorchServe's frontend is Java code that we cannot change. It answers these two itself, before any handler
    # runs: a body over `max_request_size` gets an empty 413, a full queue a 503 of its own without the header.
    # Its metrics have names of their own.
    "torchserve": Deviations(
        says_too_large=False,
        says_retry_after=False,
        full_queue_type="ServiceUnavailableException",
        counter="ts_inference_requests_total",
        server="TorchServe",
        finds_marks=False,
    ),
}


def of(engine: Engine) -> Deviations:
    """What a test has to know about this engine."""
    deviations = _OF[engine.name]
    if not engine.proxied:
        return deviations
    # The proxy supplies what TorchServe's frontend leaves out, and does not pass on its API description.
    server = None if engine.name == "torchserve" else deviations.server
    return replace(deviations, says_too_large=True, says_retry_after=True, server=server)
