"""The prediction request and its result."""

import base64
import io
import json
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict, get_args

from PIL import Image, ImageOps

from .exceptions import InpaintError, InvalidInputError, InvalidResponseError
from .files import format_from_suffix, write_atomically
from .inputs import ImageInput, load_image, load_mask
from .responses import parsing_response
from .transport import Transport

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

OutputSize: TypeAlias = Literal["original", "model"]
OutputFormat: TypeAlias = Literal["png", "jpeg", "webp", "same"]
Metadata: TypeAlias = Literal["all", "no-location", "none"]

# The first bytes of a file, by its format's name in Pillow. In WebP, four of them are the file's length.
_SIGNATURES = {
    "PNG": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "JPEG": re.compile(rb"\xff\xd8\xff"),
    "WEBP": re.compile(rb"RIFF....WEBP", re.DOTALL),
}

_SERVER_TIMING = re.compile(r"([\w-]+);dur=(\d+(?:\.\d+)?)")

# Pillow's defaults (quality 75 for JPEG, lossy WebP) would visibly change the pixels outside the hole.
_SAVE_OPTIONS: dict[str, dict[str, Any]] = {"JPEG": {"quality": 95}, "WEBP": {"lossless": True}}


@dataclass(frozen=True, kw_only=True, slots=True)
class FillResult:
    """A filled image. Notebooks display it.

    Attributes:
        image: the image as an encoded file, as sent by the server: a PNG, unless another format was requested.
        width: width in pixels.
        height: height in pixels.
        hole_ratio: fraction of pixels marked by the mask, in [0, 1].
        model: name of the model.
        model_version: version of the model.
        request_id: the request's id in the server's logs, or None if the server sent none.
        seconds: the server's time for each stage, such as `decode` and `run`; empty for TorchServe.
    """

    image: bytes = field(repr=False)
    width: int
    height: int
    hole_ratio: float
    model: str
    model_version: str
    request_id: str | None = field(default=None, compare=False)
    seconds: Mapping[str, float] = field(default_factory=dict, compare=False)

    @property
    def format(self) -> str:
        """The format of `image`: `PNG`, `JPEG` or `WEBP`."""
        return next(name for name, signature in _SIGNATURES.items() if signature.match(self.image))

    @property
    def png(self) -> bytes:
        """The image as an encoded PNG."""
        return self.to_bytes("PNG")

    def to_pil(self) -> Image.Image:
        """Decode the image to a new Pillow image, with its EXIF orientation applied.

        Raises:
            InvalidResponseError: the server sent a damaged file.
        """
        try:
            image = Image.open(io.BytesIO(self.image))
            ImageOps.exif_transpose(image, in_place=True)
        except (OSError, SyntaxError) as error:  # SyntaxError: damaged PNG
            raise InvalidResponseError(
                f"the {self.format} in the response cannot be decoded: {error}"
            ) from error
        return image

    def to_array(self) -> "NDArray[np.uint8 | np.uint16]":
        """Decode the image to a new array of shape HWC (HW for greyscale), RGB(A), uint8 in [0, 255].

        16-bit greyscale images are decoded to uint16 in [0, 65535]. Pillow decodes 16-bit colour images to
        8 bits; `png` has all 16.

        Raises:
            InvalidResponseError: the server sent a damaged file.
            InpaintError: numpy is not installed.
        """
        try:
            import numpy as np
        except ModuleNotFoundError as error:
            raise InpaintError("to_array requires numpy; install inpaint-client[numpy]") from error
        return np.array(self.to_pil())

    def to_bytes(self, format: str = "PNG") -> bytes:  # noqa: A002
        """Encode the image in a format that Pillow can write, such as `PNG`, `WEBP` (lossless) or `JPEG`.

        If the server sent this format, `image` is returned unchanged.

        Raises:
            InvalidInputError: the format is unknown, or does not support the mode of this image.
            InvalidResponseError: the server sent a damaged file.
        """
        format = format.upper()  # noqa: A001
        if format == self.format:
            return self.image
        image, buffer = self.to_pil(), io.BytesIO()
        try:
            image.save(buffer, format, **_SAVE_OPTIONS.get(format, {}))
        except (KeyError, OSError, ValueError) as error:
            raise InvalidInputError(
                f"an image of mode {image.mode} cannot be written as {format}; use PNG"
            ) from error
        return buffer.getvalue()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the image to `path` atomically, in the format of its suffix; unchanged if that is the format sent.

        Raises:
            InvalidInputError: the format is unknown, or does not support the mode of this image.
            OSError: the file cannot be written.
        """
        write_atomically(Path(path), self.to_bytes(format_from_suffix(path)))

    def _repr_png_(self) -> bytes:
        return self.png


def check_options(
    output_size: str = "original", output_format: str | None = None, metadata: str = "all"
) -> None:
    """Raise `InvalidInputError` unless these are an `OutputSize`, an `OutputFormat` or None, and a `Metadata`."""
    if output_size not in get_args(OutputSize):
        raise InvalidInputError(f"invalid output_size {output_size!r}; use 'original' or 'model'")
    if output_format is not None and output_format not in get_args(OutputFormat):
        raise InvalidInputError(
            f"invalid output_format {output_format!r}; use 'png', 'jpeg', 'webp' or 'same'"
        )
    if metadata not in get_args(Metadata):
        raise InvalidInputError(f"invalid metadata {metadata!r}; use 'all', 'no-location' or 'none'")


class FillOptions(TypedDict, total=False):
    """The options of a fill.

    Attributes:
        output_size: `original` (the default) for the size of the image, `model` for the model's 178x178.
        output_format: the format of the result: `png` or `webp`, which are lossless, `jpeg`, or `same`, which keeps the
            image's format if it is one of these three, and is PNG otherwise. None, the default, is PNG. If a JPEG is
            returned as a JPEG, only the blocks that the hole touches are encoded again.
        metadata: `all` (the default) keeps EXIF, XMP and the colour profile; `no-location` keeps EXIF without the
            location, and no XMP; `none` keeps only the colour profile.
        allow_urls: whether image and mask may be `http://` and `https://` URLs; the default is False. They are
            downloaded by this process, up to 64 MiB each, and only from public addresses, not from the network
            of this process.
    """

    output_size: OutputSize
    output_format: OutputFormat | None
    metadata: Metadata
    allow_urls: bool


async def predict(
    transport: Transport,
    image: ImageInput,
    mask: ImageInput | None = None,
    *,
    output_size: OutputSize = "original",
    output_format: OutputFormat | None = None,
    metadata: Metadata = "all",
    allow_urls: bool = False,
    timeout: float | None = None,
    retry_for: float | None = None,
) -> FillResult:
    """Send `POST /predictions/{model}`. Arguments and exceptions are those of `InpaintClient.fill`."""
    check_options(output_size, output_format, metadata)
    texts: dict[str, str] = {"output_size": output_size}
    # Sent only if needed: older servers do not know these two fields.
    if output_format is not None:
        texts["output_format"] = output_format
    if metadata != "all":
        texts["metadata"] = metadata
    call = transport.backend.call
    deadline = time.monotonic() + (transport.timeout if timeout is None else timeout)

    def url_seconds() -> float | None:
        return max(deadline - time.monotonic(), 0.0) if allow_urls else None

    files = {"image": await call(load_image, image, url_seconds=url_seconds())}
    if mask is not None:
        files["mask"] = await call(load_mask, mask, url_seconds=url_seconds())
    response = await transport.send(
        "POST",
        f"/predictions/{transport.model}",
        data=texts,
        files=files,
        timeout=deadline - time.monotonic(),
        retry_for=retry_for,
    )
    return await call(parse_fill_result, response.content, response.headers)


def parse_fill_result(body: bytes, headers: Mapping[str, str]) -> FillResult:
    """Parse the JSON response of `POST /predictions/{model}`.

    Raises:
        InvalidResponseError: the body is not JSON, lacks a field, or does not contain an image.
    """
    with parsing_response():
        fields = json.loads(body)
        result = FillResult(
            image=base64.b64decode(fields["image"], validate=True),
            width=int(fields["width"]),
            height=int(fields["height"]),
            hole_ratio=float(fields["hole_ratio"]),
            model=str(fields["model"]),
            model_version=str(fields["model_version"]),
            request_id=headers.get("X-Request-ID"),
            seconds=_parse_server_timing(headers.get("Server-Timing", "")),
        )
    if not any(signature.match(result.image) for signature in _SIGNATURES.values()):
        raise InvalidResponseError("the image in the response is not a PNG, JPEG or WebP file")
    return result


def _parse_server_timing(value: str) -> dict[str, float]:
    """Return the seconds of each entry of a `Server-Timing` header, in its order."""
    return {name: float(ms) / 1000 for name, ms in _SERVER_TIMING.findall(value)}
