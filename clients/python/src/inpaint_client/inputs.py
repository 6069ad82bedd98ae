"""Convert images and masks from any supported type to the encoded bytes that are sent."""

import io
import os
import reprlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

from PIL import Image, ImageOps

from .downloads import download, is_url
from .exceptions import InpaintError, InvalidInputError

if TYPE_CHECKING:
    import numpy as np


@runtime_checkable
class BinaryReader(Protocol):
    """A file opened in binary mode. It is read from its current position to the end."""

    def read(self, size: int = ..., /) -> bytes: ...  # noqa: D102


@runtime_checkable
class SupportsArray(Protocol):
    """An object that numpy can convert to an array, such as an ndarray or a PyTorch tensor on the CPU."""

    def __array__(self, *args: Any, **kwargs: Any) -> Any: ...


ImageInput: TypeAlias = (
    str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryReader | Image.Image | SupportsArray
)

# Pillow modes that PNG does not support, and the mode to convert them to.
_PNG_MODE = {"CMYK": "RGB", "YCbCr": "RGB", "HSV": "RGB", "RGBX": "RGB", "PA": "RGBA", "RGBa": "RGBA"}


def load_image(source: ImageInput, *, url_seconds: float | None = None) -> bytes:
    """Return the image as an encoded file.

    Files and bytes are returned unchanged, including their bit depth, colour profile and EXIF orientation.
    Pillow images and arrays are encoded as PNG. Arrays have shape HW or HWC with C = 1 (greyscale),
    3 (RGB) or 4 (RGBA), and dtype uint8 in [0, 255].

    Args:
        source: the image.
        url_seconds: how long a download may take; None refuses URLs.

    Raises:
        InvalidInputError: the file cannot be read or is empty, or the type, dtype or shape is not supported.
    """
    return _load(source, "image", url_seconds)


def load_mask(source: ImageInput, *, url_seconds: float | None = None) -> bytes:
    """Return the mask as an encoded file; white marks the hole.

    Works like `load_image`, except for arrays: their shape is HW or HW1, and their dtype is bool
    (True = hole) or uint8 (128 and above = hole).

    Raises:
        InvalidInputError: as for `load_image`, and for a uint8 array of zeros and ones.
    """
    return _load(source, "mask", url_seconds)


def scale_mask(mask: bytes, image: bytes) -> bytes:
    """Return the mask resized to the size that the image has after its EXIF orientation is applied.

    Raises:
        InvalidInputError: one of the two cannot be decoded.
    """
    with _open(image, "image") as opened:
        size = opened.size
        if opened.getexif().get(0x0112, 1) >= 5:  # rotated by 90 degrees
            size = size[::-1]
    with _open(mask, "mask") as opened:
        try:
            upright = ImageOps.exif_transpose(opened)
        except (OSError, SyntaxError, ValueError) as error:
            raise InvalidInputError(f"mask: cannot be decoded: {error}") from error
    return (
        mask if upright.size == size else _encode_png(upright.resize(size, Image.Resampling.NEAREST), "mask")
    )


def _open(data: bytes, name: str) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InvalidInputError(f"{name}: cannot be decoded: {error}") from error


def _load(source: ImageInput, name: str, url_seconds: float | None) -> bytes:
    if is_url(source):
        data = _read_url(str(source), name, url_seconds)
    elif isinstance(source, (str, os.PathLike)):
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
            f"{name}: unsupported type {type(source).__name__}; "
            "pass a path, bytes, a binary file, a Pillow image or an array"
        )
    if not data:
        raise InvalidInputError(f"{name} is empty (0 bytes); pass an encoded image, such as a PNG or a JPEG")
    return data


def _read_url(url: str, name: str, seconds: float | None) -> bytes:
    if seconds is None:
        raise InvalidInputError(
            f"{name}: {reprlib.repr(url)} is a URL; pass allow_urls=True (--allow-urls) to download it"
        )
    return download(url, name, seconds)


def _read_path(path: str | os.PathLike[str], name: str) -> bytes:
    # Shortened, because base64 text passed instead of a path can be megabytes long.
    shown = reprlib.repr(os.fspath(path)) if len(os.fspath(path)) > 200 else repr(os.fspath(path))
    try:
        return Path(path).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: null byte in the path
        reason = getattr(error, "strerror", None) or error
        raise InvalidInputError(f"{name}: cannot read {shown}: {reason}") from error


def _read_file(file: BinaryReader, name: str) -> bytes:
    try:
        data = file.read()
    except (OSError, ValueError) as error:  # ValueError: closed file
        raise InvalidInputError(f"{name}: cannot read the file object: {error}") from error
    if not isinstance(data, bytes):
        raise InvalidInputError(
            f"{name}: the file object returned {type(data).__name__}; open it in binary mode ('rb')"
        )
    return data


def _encode_png(image: Image.Image, name: str) -> bytes:
    buffer = io.BytesIO()
    try:
        converted = image.convert(_PNG_MODE[image.mode]) if image.mode in _PNG_MODE else image
        # Without EXIF: the server would apply its orientation to pixels that the caller sees unrotated.
        # Compression level 1 is several times faster than the default of 6 and only slightly larger.
        converted.save(buffer, "PNG", compress_level=1, exif=b"")
    except (OSError, SyntaxError, ValueError) as error:  # SyntaxError: damaged PNG
        raise InvalidInputError(
            f"{name}: cannot encode a Pillow image of mode {image.mode} ({error}); use mode L, RGB or RGBA"
        ) from error
    return buffer.getvalue()


def _image_from_array(source: SupportsArray, name: str) -> Image.Image:
    try:
        import numpy as np
    except ModuleNotFoundError as error:
        raise InpaintError(f"{name}: arrays require numpy; install inpaint-client[numpy]") from error
    try:
        array = np.asarray(source)
    except (TypeError, ValueError, RuntimeError) as error:  # such as a tensor on a GPU
        raise InvalidInputError(f"{name}: cannot be converted to a numpy array: {error}") from error
    _check_array(array, name)
    if array.dtype == bool:
        array = array.astype(np.uint8) * 255
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    return Image.fromarray(array)


def _check_array(array: "np.ndarray[Any, Any]", name: str) -> None:
    is_mask = name == "mask"
    channels = (1,) if is_mask else (1, 3, 4)
    is_image = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in channels)
    if not is_image or array.size == 0:
        expected = "(height, width)" if is_mask else "(height, width) or (height, width, 3 or 4)"
        raise InvalidInputError(f"{name}: unsupported array shape {array.shape}; expected {expected}")
    if array.dtype != "uint8" and not (is_mask and array.dtype == bool):
        expected = "bool (True = hole) or uint8 (128 and above = hole)" if is_mask else "uint8 in [0, 255]"
        raise InvalidInputError(f"{name}: unsupported array dtype {array.dtype}; expected {expected}")
    if is_mask and array.dtype != bool and array.max() == 1:
        raise InvalidInputError(
            "mask: the uint8 array contains only zeros and ones, but a hole is 128 and above; "
            "pass mask.astype(bool) or mask * 255"
        )
