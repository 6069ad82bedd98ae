"""Whatever a caller has for a photo or a mask → the bytes to send."""

import io
import os
import reprlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

from PIL import Image

from .errors import InpaintError, InvalidInputError

if TYPE_CHECKING:
    import numpy as np


@runtime_checkable
class BinaryReader(Protocol):
    """A file open for reading in binary mode; read from where it stands to its end."""

    def read(self, size: int = ..., /) -> bytes: ...  # noqa: D102


@runtime_checkable
class SupportsArray(Protocol):
    """Anything that numpy can view as an array: an ndarray, a CPU tensor of torch, and others."""

    def __array__(self, *args: Any, **kwargs: Any) -> Any: ...


Source: TypeAlias = (
    str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryReader | Image.Image | SupportsArray
)

# Pillow modes that PNG has no form for, and the one to turn them into without loss of what can be seen.
_PNG_MODE = {"CMYK": "RGB", "YCbCr": "RGB", "HSV": "RGB", "RGBX": "RGB", "PA": "RGBA", "RGBa": "RGBA"}


def load_photo(source: Source) -> bytes:
    """Give the photo as an encoded picture.

    Files and bytes pass through untouched, so that 16-bit depth, colour profile and EXIF orientation reach
    the server. A Pillow image or an array is encoded as PNG exactly as its pixels lie: array HW, HWC with
    C = 1 (grey), 3 (RGB) or 4 (RGBA), dtype uint8, range [0, 255].

    Raises:
        InvalidInputError: a file that cannot be read, no bytes, a wrong dtype, shape or type.
    """
    return _load(source, "image")


def load_mask(source: Source) -> bytes:
    """Give the mask as an encoded picture; white marks the hole.

    As `load_photo`; an array is HW or HW1, dtype bool (True = hole) or uint8 (128 and above = hole).

    Raises:
        InvalidInputError: as `load_photo`, and for a uint8 array of zeros and ones.
    """
    return _load(source, "mask")


def _load(source: Source, name: str) -> bytes:
    if isinstance(source, (str, os.PathLike)):
        data = _read_path(source, name)
    elif isinstance(source, (bytes, bytearray, memoryview)):
        data = bytes(source)
    elif isinstance(source, Image.Image):
        data = _encode_png(source, name)
    elif isinstance(source, SupportsArray):
        data = _encode_png(_image_from_array(source, name), name)
    elif isinstance(source, BinaryReader):
        data = _read_file(source, name)
    else:
        raise InvalidInputError(
            f"{name}: a {type(source).__name__}; give a path, bytes, a binary file, a Pillow image, an array"
        )
    if not data:
        raise InvalidInputError(
            f"{name} is empty (0 bytes); give an encoded picture, such as a PNG or a JPEG"
        )
    return data


def _read_path(path: str | os.PathLike[str], name: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        reason = getattr(error, "strerror", None) or error
        # Shortened, for base64 text given by mistake in place of a path can be megabytes long.
        shown = reprlib.repr(os.fspath(path)) if len(os.fspath(path)) > 200 else repr(os.fspath(path))
        raise InvalidInputError(f"{name}: cannot read {shown}: {reason}") from error


def _read_file(file: BinaryReader, name: str) -> bytes:
    try:
        data = file.read()
    except (OSError, ValueError) as error:  # ValueError: a closed file
        raise InvalidInputError(f"{name}: cannot read the file object: {error}") from error
    if not isinstance(data, bytes):
        raise InvalidInputError(
            f"{name}: the file gives {type(data).__name__}; open it in binary mode ('rb')"
        )
    return data


def _encode_png(image: Image.Image, name: str) -> bytes:
    buffer = io.BytesIO()
    try:
        picture = image.convert(_PNG_MODE[image.mode]) if image.mode in _PNG_MODE else image
        # EXIF stays out: Pillow's pixels are not turned by it, and the caller wants them back as they are.
        # Level 1: the wire is mostly short, and level 6 takes seconds on a large photo.
        picture.save(buffer, "PNG", compress_level=1, exif=b"")
    except (OSError, SyntaxError, ValueError) as error:  # SyntaxError: how Pillow calls a damaged PNG
        raise InvalidInputError(
            f"{name}: a Pillow image of mode {image.mode} cannot be sent ({error}); "
            "give a readable one of mode L, RGB or RGBA"
        ) from error
    return buffer.getvalue()


def _image_from_array(source: SupportsArray, name: str) -> Image.Image:
    try:
        import numpy as np
    except ModuleNotFoundError as error:
        raise InpaintError(f"{name}: arrays need numpy: install inpaint-client[numpy]") from error
    try:
        array = np.asarray(source)
    except (TypeError, ValueError, RuntimeError) as error:  # e.g. a tensor on a GPU
        raise InvalidInputError(f"{name}: not to be had as a numpy array: {error}") from error
    _check_array(array, name)
    if array.dtype == bool:
        array = array.astype(np.uint8) * 255
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    return Image.fromarray(array)


def _check_array(array: "np.ndarray[Any, Any]", name: str) -> None:
    is_mask = name == "mask"
    channels = (1,) if is_mask else (1, 3, 4)
    plane = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in channels)
    if not plane or array.size == 0:
        right = "(height, width)" if is_mask else "(height, width) or (height, width, 3 or 4)"
        raise InvalidInputError(f"{name}: an array of shape {array.shape}; give one of shape {right}")
    if array.dtype != "uint8" and not (is_mask and array.dtype == bool):
        right = "bool (True = hole) or uint8 (128 and above = hole)" if is_mask else "uint8 in [0, 255]"
        raise InvalidInputError(f"{name}: an array of dtype {array.dtype}; give {right}")
    if is_mask and array.dtype != bool and array.max() == 1:
        raise InvalidInputError(
            "mask: a uint8 array of zeros and ones marks nothing, for a hole is 128 and above; "
            "give mask.astype(bool) or mask * 255"
        )
