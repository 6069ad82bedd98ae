"""The request for a photo's marks, and its result: a proposed mask."""

import base64
import io
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from .exceptions import InpaintError, InvalidInputError, InvalidResponseError
from .files import write_atomically
from .inputs import ImageInput, load_image
from .responses import parsing_response
from .transport import Transport

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True, kw_only=True, slots=True)
class Marks:
    """The mask proposed for a photo. Notebooks display it. Pass `mask` to `fill` unchanged.

    Attributes:
        mask: an 8-bit greyscale PNG, white = mark, of the photo's size with its EXIF orientation applied.
        width: width in pixels.
        height: height in pixels.
        share: fraction of pixels that belong to marks, in [0, 1].
        request_id: the request's id in the server's logs, or None if the server sent none.
    """

    mask: bytes = field(repr=False)
    width: int
    height: int
    share: float
    request_id: str | None = field(default=None, compare=False)

    def to_pil(self) -> Image.Image:
        """Decode the mask to a new Pillow image of mode L.

        Raises:
            InvalidResponseError: the server sent a damaged file.
        """
        try:
            return Image.open(io.BytesIO(self.mask)).convert("L")
        except (OSError, SyntaxError) as error:  # SyntaxError: damaged PNG
            raise InvalidResponseError(f"the mask in the response cannot be decoded: {error}") from error

    def to_array(self) -> "NDArray[np.bool_]":
        """Decode the mask to a new array of shape HW, bool, True = mark.

        Raises:
            InvalidResponseError: the server sent a damaged file.
            InpaintError: numpy is not installed.
        """
        try:
            import numpy as np
        except ModuleNotFoundError as error:
            raise InpaintError("to_array requires numpy; install inpaint-client[numpy]") from error
        return np.asarray(self.to_pil()) >= 128

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the PNG to `path` atomically.

        Raises:
            InvalidInputError: the suffix is not .png.
            OSError: the file cannot be written.
        """
        write_atomically(check_mask_path(path), self.mask)

    def _repr_png_(self) -> bytes:
        return self.mask


def check_mask_path(path: str | os.PathLike[str]) -> Path:
    """Return the path of a mask.

    Raises:
        InvalidInputError: its suffix is not .png.
    """
    if Path(path).suffix.lower() != ".png":
        raise InvalidInputError(f"{os.fspath(path)!r}: a mask is a PNG file; use a name that ends in .png")
    return Path(path)


def check_sensitivity(sensitivity: float) -> float:
    """Return the sensitivity.

    Raises:
        InvalidInputError: it is not in [0, 1].
    """
    if not 0 <= sensitivity <= 1:
        raise InvalidInputError(f"sensitivity is {sensitivity!r}; it must be in [0, 1]")
    return sensitivity


async def request_marks(
    transport: Transport, image: ImageInput, *, sensitivity: float = 0.5, allow_urls: bool = False
) -> Marks:
    """Send `POST /masks/marks`. Arguments and exceptions are those of `InpaintClient.find_marks`."""
    data = {"sensitivity": str(check_sensitivity(sensitivity))}
    call = transport.backend.call
    deadline = time.monotonic() + transport.timeout
    file = await call(load_image, image, url_seconds=transport.timeout if allow_urls else None)
    response = await transport.send(
        "POST", "/masks/marks", data=data, files={"image": file}, timeout=deadline - time.monotonic()
    )
    return await call(parse_marks, response.content, response.headers)


def parse_marks(body: bytes, headers: Mapping[str, str]) -> Marks:
    """Parse the JSON response of `POST /masks/marks`.

    Raises:
        InvalidResponseError: the body is not JSON, lacks a field, or does not contain a PNG.
    """
    with parsing_response():
        fields = json.loads(body)
        marks = Marks(
            mask=base64.b64decode(fields["mask"], validate=True),
            width=int(fields["width"]),
            height=int(fields["height"]),
            share=float(fields["share"]),
            request_id=headers.get("X-Request-ID"),
        )
    if not marks.mask.startswith(_PNG):
        raise InvalidResponseError("the mask in the response is not a PNG file")
    return marks
