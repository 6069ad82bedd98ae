"""Fill images and find their marks in this process, without a server. Requires `inpaint-client[local]`.

from inpaint_client.local import fill

fill("photo.jpg", "mask.png").save("filled.png")
"""

import os
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from .exceptions import ClientError, InpaintError, InvalidInputError, ServerError
from .inputs import ImageInput, load_image, load_mask
from .marks import Marks, check_sensitivity
from .predictions import FillResult, Metadata, OutputFormat, OutputSize, check_options, parse_fill_result

if TYPE_CHECKING:
    from serving.core.marks import MarkDetector
    from serving.core.pipeline import Pipeline

_LOADED_MODELS = 4


def fill(
    image: ImageInput,
    mask: ImageInput | None = None,
    *,
    output_size: OutputSize = "original",
    output_format: OutputFormat | None = None,
    metadata: Metadata = "all",
    model: str | os.PathLike[str] | None = None,
) -> FillResult:
    """Fill the pixels that the mask marks, with the same result as a server with the same model.

    The model is loaded by the first call and then kept. Threads may call this function at the same time.

    Args:
        image: as for `InpaintClient.fill`.
        mask: as for `InpaintClient.fill`.
        output_size: as for `InpaintClient.fill`.
        output_format: as for `InpaintClient.fill`.
        metadata: as for `InpaintClient.fill`.
        model: an ONNX file that a server could serve; None is the model that comes with the server's package.

    Raises:
        InvalidInputError: the image, the mask or the model cannot be read.
        ClientError: the image or the mask is rejected.
        ServerError: the model failed.
        InpaintError: the server's package is not installed.
    """
    check_options(output_size, output_format, metadata)
    image_bytes = load_image(image)
    mask_bytes = None if mask is None else load_mask(mask)
    pipeline = _load(None if model is None else os.fspath(model))
    from serving.core.contract import FillRequest
    from serving.core.errors import InpaintError as FillError

    try:
        filled = pipeline.fill(FillRequest(image_bytes, mask_bytes, output_size, output_format, metadata))
    except FillError as error:
        kind = ClientError if error.code < 500 else ServerError
        raise kind(error.code, error.type, error.message, None, "without a server") from error
    _, body = filled.response.encode("application/json")
    return replace(parse_fill_result(body, {}), seconds=filled.seconds)


def find_marks(image: ImageInput, *, sensitivity: float = 0.5) -> Marks:
    """Propose a mask that covers the photo's marks, as `InpaintClient.find_marks` does with a server.

    Raises:
        InvalidInputError: the image cannot be read, or the sensitivity is not in [0, 1].
        ClientError: the image is rejected.
        InpaintError: the server's package is not installed.
    """
    check_sensitivity(sensitivity)
    image_bytes = load_image(image)
    detector = _load_detector()
    from serving.core.errors import InpaintError as FillError
    from serving.core.marks_contract import MarksRequest

    try:
        found = detector.respond(MarksRequest(image_bytes, sensitivity))
    except FillError as error:
        raise ClientError(error.code, error.type, error.message, None, "without a server") from error
    return Marks(mask=found.mask, width=found.width, height=found.height, share=found.share)


@lru_cache(1)
def _load_detector() -> "MarkDetector":
    try:
        from serving.core.marks import MarkDetector
    except ModuleNotFoundError as error:
        raise InpaintError(
            f"finding marks without a server requires {error.name}; install inpaint-client[local]"
        ) from error
    return MarkDetector()


@lru_cache(_LOADED_MODELS)
def _load(model: str | None) -> "Pipeline":
    try:
        from serving.core.errors import StartupError
        from serving.core.models import default_model
        from serving.core.pipeline import Pipeline
        from serving.core.runtime import Runtime
    except ModuleNotFoundError as error:
        raise InpaintError(
            f"filling without a server requires {error.name}; install inpaint-client[local]"
        ) from error
    try:
        return Pipeline(Runtime(default_model() if model is None else Path(model)))
    except StartupError as error:
        raise InvalidInputError(error.message) from error
