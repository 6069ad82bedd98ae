"""The TorchServe handler: runs the pipeline on the requests that a worker receives.

`python -m export mar` packs this file and the package `serving.core` into the archive. TorchServe's `BaseHandler` is
not used: it responds with `null` to a request with the header `describe: True`, and runs ONNX on all cores.
"""

import json
import logging
import os
from collections.abc import Callable, Mapping
from http import HTTPStatus
from math import inf
from pathlib import Path
from time import monotonic
from typing import Any

from serving.core.contract import (
    TIMEOUT_HEADER,
    FillRequest,
    request_from_fields,
    request_from_json,
    requested_seconds,
)
from serving.core.cpus import available_cores
from serving.core.errors import (
    DeadlineExceededError,
    DeviceUnavailableError,
    InpaintError,
    InternalServerError,
    UnsupportedMediaTypeError,
)
from serving.core.media_types import JSON, request_media_type
from serving.core.pipeline import Pipeline
from serving.core.runtime import Runtime

logger = logging.getLogger(__name__)

_SHARE_OF_TIMEOUT = 0.95


class InpaintHandler:
    """Created once by each worker and called for each batch. TorchServe allows only one class in this file."""

    def initialize(self, context: Any) -> None:
        """Load the model.

        Args:
            context: `ts.context.Context`: the archive's folder and manifest, the model config, the GPU's index.

        Raises:
            ModelFileError: the archive's model is not an inpainting model.
            DeviceUnavailableError: a GPU was requested or assigned, and cannot run the model.
        """
        config = context.model_yaml_config or {}
        folder, gpu = Path(context.system_properties["model_dir"]), context.system_properties["gpu_id"]
        if gpu is None and config.get("deviceType") == "gpu":
            raise DeviceUnavailableError(
                "The model config requires a GPU and TorchServe assigned none: there is no GPU, or number_of_gpu "
                "in config.properties is 0."
            )
        if gpu is not None:
            _show_only(gpu)
        self._runtime = Runtime(
            folder / context.manifest["model"]["serializedFile"],
            name=context.model_name,
            device="cpu" if gpu is None else "cuda",
            require_gpu=gpu is not None,
            threads=_threads(config),
        )
        self._pipeline = Pipeline(self._runtime)
        # TorchServe kills a worker that takes longer.
        self._max_seconds = _SHARE_OF_TIMEOUT * float(config.get("responseTimeout", inf))
        logger.info("Model %s runs on %s.", self._runtime.version, self._runtime.provider)

    def handle(self, data: list[dict[str, Any]], context: Any) -> list[bytes]:
        """Handle a batch. An error in one request does not affect the others.

        Args:
            data: the fields of each request by name; a body that is not a form is the field `body`.
            context: receives the status and headers of each response.

        Returns:
            The response body of each request.
        """
        return [self._respond(fields, index, context) for index, fields in enumerate(data)]

    def _respond(self, fields: Mapping[str, Any], index: int, context: Any) -> bytes:
        # Content types of a form's parts are among the headers, as dictionaries.
        headers = {
            name.lower(): value
            for name, value in context.get_all_request_header(index).items()
            if isinstance(value, str)
        }
        code = HTTPStatus.OK
        try:
            media_type, body = self._predict(fields, headers)
        except Exception as error:
            if not isinstance(error, InpaintError):
                logger.exception("Request %s failed", context.get_request_id(index))
                error = InternalServerError("The server failed; see its log.")
            code, media_type, body = HTTPStatus(error.code), JSON, json.dumps(error.to_dict()).encode()
        context.set_response_status(code=int(code), phrase=code.phrase, idx=index)
        context.set_response_content_type(index, media_type)
        context.set_response_header(index, "X-Model-Version", self._runtime.version)
        context.set_response_header(index, "X-Execution-Provider", self._runtime.provider)
        return body

    def _predict(self, fields: Mapping[str, Any], headers: Mapping[str, str]) -> tuple[str, bytes]:
        """Return the media type and the body of the response to one request, or raise an error."""
        if not fields and headers.get("describe") == "True":  # the management API's customized=true
            return JSON, json.dumps(self._runtime.metadata).encode()
        checkpoint = _checkpoint(
            min(self._max_seconds, requested_seconds(headers.get(TIMEOUT_HEADER.lower())))
        )
        accept = headers.get("accept")
        filled = self._pipeline.fill(_read(fields, headers).accepted(accept), checkpoint)
        return filled.response.encode(accept)


def _checkpoint(seconds: float) -> Callable[[], None]:
    """Return a function that raises an error once `seconds` have passed. The time in TorchServe's queue is unknown."""
    deadline = monotonic() + seconds

    def check() -> None:
        if monotonic() > deadline:
            raise DeadlineExceededError(seconds)

    return check


def _read(fields: Mapping[str, Any], headers: Mapping[str, str]) -> FillRequest:
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMediaTypeError(
            "TorchServe does not support compressed bodies: send it without Content-Encoding."
        )
    if request_media_type(headers.get("content-type")) == JSON:
        return request_from_json(fields["body"])
    return request_from_fields({name: _encoded(value) for name, value in fields.items()})


def _encoded(value: Any) -> bytes | bytearray | str:
    """Undo TorchServe's decoding of a part whose content type is JSON (`decode_input_request`)."""
    return value if isinstance(value, bytes | bytearray | str) else json.dumps(value)


def _threads(config: Mapping[str, Any]) -> int:
    """Return the CPU threads of one worker: as configured, or its share of the cores."""
    return int(config.get("threads", 0)) or max(
        1, available_cores() // max(1, int(config.get("maxWorkers", 1)))
    )


def _show_only(gpu: int) -> None:
    """Make only one GPU visible to this process. `gpu` is an index into those that TorchServe sees."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    os.environ["CUDA_VISIBLE_DEVICES"] = visible.split(",")[gpu] if visible else str(gpu)
