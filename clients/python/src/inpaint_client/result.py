"""What a prediction answers: the filled picture and the facts that came with it."""

import base64
import binascii
import io
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from .errors import ContractError, InpaintError, InvalidInputError
from .files import write_atomically

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

# Pillow's own defaults would visibly damage the pixels that the model took care not to touch.
_SAVE_OPTIONS: dict[str, dict[str, Any]] = {"JPEG": {"quality": 95}, "WEBP": {"lossless": True}}


@dataclass(frozen=True, kw_only=True, slots=True)
class FillResult:
    """A filled picture.

    Attributes:
        png: the picture, an encoded PNG, as the server sent it.
        width: its width in pixels.
        height: its height in pixels.
        hole_ratio: share of the pixels that the mask marked, in [0, 1].
        model: name of the model that filled it.
        model_version: version of that model.
    """

    png: bytes = field(repr=False)
    width: int
    height: int
    hole_ratio: float
    model: str
    model_version: str

    def to_pil(self) -> Image.Image:
        """Decode the picture into a new Pillow image.

        Raises:
            ContractError: the server sent a damaged PNG.
        """
        try:
            image = Image.open(io.BytesIO(self.png))
            image.load()
        except (OSError, SyntaxError) as error:  # SyntaxError: how Pillow calls a damaged PNG
            raise ContractError(f"the prediction's PNG cannot be decoded: {error}") from error
        return image

    def to_array(self) -> "NDArray[np.uint8 | np.uint16]":
        """Decode the picture into a new array, HWC (HW where it is grey), RGB(A), uint8 in [0, 255].

        A grey picture of 16 bit gives uint16 in [0, 65535]; of 16-bit colour Pillow reads the upper 8 bits, and
        `png` has them all.

        Raises:
            ContractError: the server sent a damaged PNG.
            InpaintError: numpy is not installed.
        """
        try:
            import numpy as np
        except ModuleNotFoundError as error:
            raise InpaintError("to_array needs numpy: install inpaint-client[numpy]") from error
        return np.array(self.to_pil())

    def to_bytes(self, format: str = "PNG") -> bytes:  # noqa: A002
        """Encode the picture; PNG gives the server's own bytes.

        Args:
            format: a format that Pillow writes: `PNG`, `JPEG` (quality 95), `WEBP` (lossless), `TIFF`, …

        Raises:
            InvalidInputError: an unknown format, or one that cannot hold this picture (JPEG has no alpha).
        """
        format = format.upper()  # noqa: A001
        if format == "PNG":
            return self.png
        buffer = io.BytesIO()
        image = self.to_pil()
        try:
            image.save(buffer, format, **_SAVE_OPTIONS.get(format, {}))
        except (KeyError, OSError, ValueError) as error:
            raise InvalidInputError(
                f"a picture of mode {image.mode} cannot be written as {format}; use PNG"
            ) from error
        return buffer.getvalue()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the picture to `path`, whole or not at all; the suffix says the format.

        Raises:
            InvalidInputError: a suffix that names no format, or a format that cannot hold this picture.
            OSError: the file cannot be written.
        """
        write_atomically(Path(path), self.to_bytes(format_of(path)))

    def _repr_png_(self) -> bytes:
        return self.png


def format_of(path: str | os.PathLike[str]) -> str:
    """Give Pillow's name of the format that the suffix of `path` stands for, such as `JPEG` for `.jpg`.

    Raises:
        InvalidInputError: Pillow writes no such format.
    """
    known = Image.registered_extensions()
    suffix = Path(path).suffix.lower()
    if known.get(suffix) not in Image.SAVE:
        shown = f"the suffix {suffix!r} names" if suffix else "without a suffix it names"
        raise InvalidInputError(f"{os.fspath(path)!r}: {shown} no picture format; use .png, .jpg or .webp")
    return known[suffix]


def parse_fill_result(body: bytes) -> FillResult:
    """Read the JSON answer of `POST /predictions/inpaint`.

    Raises:
        ContractError: it is not JSON, lacks a field, or does not hold a PNG.
    """
    try:
        answer = json.loads(body)
        result = FillResult(
            png=base64.b64decode(answer["image"], validate=True),
            width=int(answer["width"]),
            height=int(answer["height"]),
            hole_ratio=float(answer["hole_ratio"]),
            model=str(answer["model"]),
            model_version=str(answer["model_version"]),
        )
    except KeyError as error:
        raise ContractError(
            f"the prediction lacks the field {error}; is this an inpainting server?"
        ) from error
    except (binascii.Error, TypeError, ValueError) as error:
        raise ContractError(f"the prediction is not the JSON of the contract: {error}") from error
    if not result.png.startswith(_PNG_SIGNATURE):
        raise ContractError("the prediction's image is not a PNG")
    return result
