"""Where an engine cannot keep to the contract, with the reason: all of it, in one place.

Everything else is the same on both engines, and tested by the same lines.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Deviations:
    """What a test has to know about one engine.

    Attributes:
        says_too_large: whether a 413 for too many bytes has the contract's body.
        says_retry_after: whether a 503 for a full queue has the header `Retry-After`.
        full_queue_type: the error type of that 503.
        counter: the name of the Prometheus counter that counts predictions.
        metrics_port: how far above the predictions' port the one of `/metrics` is.

    """

    says_too_large: bool
    says_retry_after: bool
    full_queue_type: str
    counter: str
    metrics_port: int


OF = {
    "onnx": Deviations(
        says_too_large=True,
        says_retry_after=True,
        full_queue_type="OverloadedException",
        counter="inpaint_http_requests_total",
        metrics_port=0,
    ),
    # TorchServe's frontend, Java that is not ours to change, answers these two itself, before any handler
    # runs: a body over `max_request_size` gets an empty 413, a full queue a 503 of its own without the header.
    # Its metrics have its own names, and a port that they can share with predictions only if management does.
    "torchserve": Deviations(
        says_too_large=False,
        says_retry_after=False,
        full_queue_type="ServiceUnavailableException",
        counter="ts_inference_requests_total",
        metrics_port=2,
    ),
}
