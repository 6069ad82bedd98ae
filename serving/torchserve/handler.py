"""TorchServe's way into the pipeline: requests as its workers receive them, answers as they send them.

`export mar` packs this file, and the modules of `serving` that it imports, into the archive. TorchServe's own
base handler is not used: it answers a header `describe: True` with nothing, and runs ONNX on all cores.
"""

import fcntl
import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

from serving.core.contract import FillRequest, request_from_fields, request_from_json, wants_png
from serving.core.errors import (
    DeviceUnavailableException,
    InpaintException,
    InternalServerException,
    UnsupportedMediaTypeException,
)
from serving.core.pipeline import Pipeline
from serving.core.runtime import Runtime

logger = logging.getLogger(__name__)

_JSON, _FORM = "application/json", "multipart/form-data"


class InpaintHandler:
    """What a worker creates once, and then calls for each batch. TorchServe allows one class in this file."""

    def initialize(self, context: Any) -> None:
        """Load the model.

        Args:
            context: `ts.context.Context`: the archive's folder and manifest, the model config, the GPU's number.

        Raises:
            ModelFileException: the archive's model is no inpainting model.
            DeviceUnavailableException: a GPU was asked for or assigned, and does not run the model.
        """
        config = context.model_yaml_config or {}
        folder, gpu = Path(context.system_properties["model_dir"]), context.system_properties["gpu_id"]
        if gpu is None and config.get("deviceType") == "gpu":
            raise DeviceUnavailableException(
                "The model config asks for a GPU and TorchServe assigned none: it found no GPU, or number_of_gpu "
                "in config.properties is 0."
            )
        if gpu is not None:
            _show_only(gpu)
        self._runtime = Runtime(
            folder / context.manifest["model"]["serializedFile"],
            device="cpu" if gpu is None else "cuda",
            require_gpu=gpu is not None,
            threads=_threads(config),
        )
        self._pipeline = Pipeline(self._runtime)
        logger.info("Model %s runs on %s.", self._runtime.version, self._runtime.provider)

    def handle(self, data: list[dict[str, Any]], context: Any) -> list[bytes]:
        """Answer a batch: each request on its own, whatever becomes of the others.

        Args:
            data: for each request its fields by name; the body of one that is no form is the field `body`.
            context: takes each answer's status and headers.

        Returns:
            For each request the body of its answer.
        """
        with _busy():
            return [self._answer(fields, index, context) for index, fields in enumerate(data)]

    def _answer(self, fields: Mapping[str, Any], index: int, context: Any) -> bytes:
        # The fields' content types are among them, as dictionaries.
        headers = {
            name.lower(): value
            for name, value in context.get_all_request_header(index).items()
            if isinstance(value, str)
        }
        code = HTTPStatus.OK
        try:
            media_type, body = self._serve(fields, headers)
        except Exception as error:
            if not isinstance(error, InpaintException):
                logger.exception("Request %s failed", context.get_request_id(index))
                error = InternalServerException("The server failed; its log says why.")
            code, media_type, body = HTTPStatus(error.code), _JSON, json.dumps(error.to_dict()).encode()
        context.set_response_status(code=int(code), phrase=code.phrase, idx=index)
        context.set_response_content_type(index, media_type)
        context.set_response_header(index, "X-Model-Version", self._runtime.version)
        context.set_response_header(index, "X-Execution-Provider", self._runtime.provider)
        return body

    def _serve(self, fields: Mapping[str, Any], headers: Mapping[str, str]) -> tuple[str, bytes]:
        """Return the media type and the body of the answer to one request, or raise what is wrong with it."""
        if not fields and headers.get("describe") == "True":  # the management API, asked for customized=true
            return _JSON, json.dumps(self._runtime.metadata).encode()
        answer = self._pipeline.fill(_read(fields, headers)).answer
        if wants_png(headers.get("accept")):
            return "image/png", answer.png
        return _JSON, json.dumps(answer.to_dict()).encode()


def _read(fields: Mapping[str, Any], headers: Mapping[str, str]) -> FillRequest:
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMediaTypeException(
            "TorchServe reads no compressed bodies: send it without Content-Encoding."
        )
    if media_type == _FORM:
        return request_from_fields({name: _plain(value) for name, value in fields.items()})
    if media_type == _JSON:
        return request_from_json(fields["body"])
    raise UnsupportedMediaTypeException(
        f"The body's Content-Type is {media_type[:80]!r}: {_FORM} or {_JSON} is right."
    )


def _plain(value: Any) -> bytes | bytearray | str:
    """Undo TorchServe's own decoding of a part that calls itself JSON (`decode_input_request`)."""
    return value if isinstance(value, bytes | bytearray | str) else json.dumps(value)


def _threads(config: Mapping[str, Any]) -> int:
    """Return how many CPU threads one worker takes: its share, where the config does not say."""
    cores = len(os.sched_getaffinity(0))
    return int(config.get("threads", 0)) or max(1, cores // max(1, int(config.get("maxWorkers", 1))))


def _show_only(gpu: int) -> None:
    """Let this process see one GPU. TorchServe counts among those that it sees itself."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    os.environ["CUDA_VISIBLE_DEVICES"] = visible.split(",")[gpu] if visible else str(gpu)


@contextmanager
def _busy() -> Iterator[None]:
    """Hold a lock on this file, by which `start.py` knows that a request is in flight."""
    with Path(__file__).open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield
