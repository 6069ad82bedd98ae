"""Decode image files to arrays, for `codec`: every mode and format, at full bit depth.

Pillow decodes them. It has no mode for 16-bit colour, but can unpack either the high or the low bytes of such
samples: the file is decoded once for each. Pillow clears an image's memory before it decodes into it, and the
returned arrays start as zeros, so no sample is ever uninitialised memory.
"""

import io
import sys
import warnings
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile
from PIL.TiffImagePlugin import TiffImageFile

from serving.core.errors import (
    InvalidImageError,
    InvalidMaskError,
    InvalidRequestError,
    TooManyPixelsError,
)
from serving.core.image_headers import (
    MAX_SCANS,
    is_png_too_short,
    jpeg_scans,
    png_pixel_data,
    png_size,
    webp_size,
)
from serving.core.metadata import read_metadata
from serving.core.sandbox_process import Call

# Pillow warns about damaged files. The client is told; no client may flood the log.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")

# `max_pixels` limits the number of pixels and is checked on the header of every file opened here.
# Pillow's own limit is global, only warns at first, and refuses photos from the largest cameras.
Image.MAX_IMAGE_PIXELS = None

Samples = NDArray[Any]

# What the largest valid files of any format take, with a margin: 1.8 GB and 21 s at 64 million pixels.
_MEMORY = 64 * 2**20
_MEMORY_PER_BYTE = 4
_MEMORY_PER_PIXEL = 24
_CPU_SECONDS = 5.0
_CPU_SECONDS_PER_PIXEL = 0.25e-6

_BAND = 2**20  # pixels that are converted at a time
_FULL_16 = np.uint16(65535)
# Pillow's raw mode "RGB;16L" unpacks the high bytes of little-endian samples, "RGB;16B" those of big-endian
# ones. The other of the two unpacks the low bytes. "RGB;16N" is this machine's order.
_OTHER_ORDER = {"L": "B", "B": "L", "N": "B" if sys.byteorder == "little" else "L"}
_LARGEST_TILE = 1024  # side in pixels that a TIFF's tile may have, however small the image

_BITS_PER_SAMPLE, _PHOTOMETRIC, _PLANES, _TILE_WIDTH, _TILE_LENGTH = 258, 262, 284, 322, 323  # TIFF tags
_WHITE_IS_ZERO, _SEPARATE = 0, 2  # values of the second and the third

# How to view an upright array as a file stores it under each of EXIF's eight orientations; the array's first
# two axes are rows and columns. All return views, so what is written into them ends up upright.
_STORED: dict[int, Callable[[Samples], Samples]] = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a[:, ::-1].swapaxes(0, 1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a[::-1].swapaxes(0, 1),
}


def decode_file(call: Call, name: bytes, max_pixels: bytes, data: bytes) -> int:
    """Decode an image file: its first frame, with the EXIF orientation applied, at its own bit depth.

    Args:
        call: receives the arrays `samples`, HWC, uint8 or uint16, and, as bytes, `exif`, `xmp` and `icc_profile`, each
            if the file has it.
        name: b"image" or b"mask".
        max_pixels: the limit, in decimal.
        data: the file's bytes.

    Returns:
        The EXIF orientation, 1 to 8.

    Raises:
        TooManyPixelsError: width times height, read from the header, is over `max_pixels`.
        InvalidImageError, InvalidMaskError: the data is not a complete image in one of `FORMATS`.
    """
    return _decode(_File(name.decode(), data), int(max_pixels), call)


def warm_up() -> None:
    """Load Pillow's decoders before the first call."""
    Image.preinit()
    Image.init()


def limit(call: Call, size: int, pixels: int) -> None:
    """Limit a call's process to what a file of this many bytes and pixels may take."""
    memory = _MEMORY + _MEMORY_PER_BYTE * size + _MEMORY_PER_PIXEL * pixels
    call.limit(memory=memory, cpu_seconds=int(cpu_seconds(pixels)))


def swaps_sides(orientation: int) -> bool:
    """Tell whether an EXIF orientation swaps width and height."""
    return 5 <= orientation <= 8


def as_stored(upright: Samples, orientation: int) -> Samples:
    """Return a view of an upright array, HW or HWC, as a file with this EXIF orientation stores it."""
    return _STORED[orientation](upright) if orientation in _STORED else upright


def cpu_seconds(pixels: int) -> float:
    """Return the CPU seconds that decoding a file of this many pixels may take."""
    return _CPU_SECONDS + pixels * _CPU_SECONDS_PER_PIXEL


@dataclass(frozen=True)
class _File:
    """A file to decode, and the errors to raise about it."""

    name: str
    data: bytes

    @property
    def invalid(self) -> type[InvalidRequestError]:
        return InvalidMaskError if self.name == "mask" else InvalidImageError

    def open(self) -> ImageFile.ImageFile:
        image = Image.open(io.BytesIO(self.data), formats=FORMATS)
        assert isinstance(image, ImageFile.ImageFile)  # noqa: S101 - for the type checker
        return image

    def check_size(self, size: tuple[int, int], max_pixels: int) -> int:
        pixels = size[0] * size[1]
        if pixels > max_pixels:
            raise TooManyPixelsError(
                f"The {self.name} has {size[0]}x{size[1]} pixels; at most {max_pixels} are accepted."
            )
        return pixels


def _decode(file: _File, max_pixels: int, call: Call) -> int:
    # Malformed files make the decoders raise all kinds of exceptions: SyntaxError, struct.error, zlib.error,
    # MemoryError and more.
    try:
        # Pillow allocates the canvas of a WebP file while it opens it.
        canvas = file.check_size(webp_size(file.data) or (0, 0), max_pixels)
        limit(call, len(file.data), canvas)
        image = file.open()
    except TooManyPixelsError:
        raise
    except Exception as error:
        raise file.invalid(
            f"The {file.name} cannot be read ({len(file.data)} bytes): send a complete PNG, JPEG, WebP, BMP or TIFF "
            "file."
        ) from error
    pixels = file.check_size(image.size, max_pixels)
    try:
        limit(call, len(file.data), pixels)
        _check_header(image, file.data)
        return _Decoder(file, image, call).decode()
    except MemoryError as error:
        raise file.invalid(
            f"The {file.name} cannot be decoded: it takes more memory than an image of its size should."
        ) from error
    except (OSError, ValueError) as error:
        raise file.invalid(f"The {file.name} cannot be decoded: {error}.") from error
    except Exception as error:
        raise file.invalid(f"The {file.name} cannot be decoded: it is damaged.") from error


def _check_header(image: ImageFile.ImageFile, data: bytes) -> None:
    """Refuse a file that would take far more time or memory than the image's size suggests.

    Raises:
        ValueError: says what is wrong.
    """
    if image.format == "PNG" and is_png_too_short(data):
        raise ValueError("image file is truncated")
    if (
        image.format in ("JPEG", "MPO")
        and data.count(b"\xff\xda") > MAX_SCANS
        and (scans := jpeg_scans(data)) > MAX_SCANS
    ):
        raise ValueError(f"it has {scans} scans; at most {MAX_SCANS} are accepted")
    if isinstance(image, TiffImageFile):
        tile = [int(image.tag_v2.get(tag, 0)) for tag in (_TILE_WIDTH, _TILE_LENGTH)]
        if any(side > max(2 * whole, _LARGEST_TILE) for side, whole in zip(tile, image.size, strict=True)):
            raise ValueError(f"its tiles of {tile[0]}x{tile[1]} pixels are larger than the image")


class _Decoder:
    """Decodes one open file."""

    def __init__(self, file: _File, image: ImageFile.ImageFile, call: Call) -> None:
        self._file = file
        self._image = image
        self._call = call

    def decode(self) -> int:
        """Decode it into the call's arrays. Return its orientation.

        Raises:
            ValueError: this kind of file is not supported, or it is damaged.
        """
        image, depth = self._image, self._depth()
        is_cmyk, profile = image.mode == "CMYK", image.info.get("icc_profile")
        separate = isinstance(image, TiffImageFile) and image.tag_v2.get(_PLANES) == _SEPARATE
        if depth > 8 and (separate or is_cmyk):
            raise ValueError(
                "this kind of 16-bit file is not supported: save it as grey, RGB or RGBA with interleaved "
                "channels (PlanarConfiguration 1)"
            )
        if profile is not None and not isinstance(profile, bytes):
            raise ValueError("its colour profile is damaged")
        if depth == 8:
            self._decode_8()
        elif image.mode.startswith("I;16"):
            self._decode_grey(depth)
        else:
            del image
            self._decode_colour()
        orientation = _orientation(self._image)
        for name, value in read_metadata(self._image):
            if name != "icc_profile" or not is_cmyk:  # a CMYK profile does not apply to the converted samples
                self._call.put(name, np.frombuffer(value, np.uint8))
        return orientation if orientation in _STORED else 1

    def _depth(self) -> int:
        """Return how many bits of each sample are kept, 8 to 16."""
        if self._image.mode in ("I", "F"):
            raise ValueError("it has 32 bits per sample: save it with 8 or 16")
        if self._image.format == "PNG":
            return 16 if self._file.data[24] == 16 else 8  # the bit depth in IHDR, always the first chunk
        if isinstance(self._image, TiffImageFile):
            return int(max(8, *self._image.tag_v2.get(_BITS_PER_SAMPLE, (1,))))
        return 8

    def _decode_8(self) -> None:
        image = self._load(self._image)
        grey = image.mode in ("1", "L", "LA", "La")
        mode = ("L" if grey else "RGB") + "A" * image.has_transparency_data

        def convert(band: Image.Image) -> Samples:
            samples = np.asarray(band if band.mode == mode else band.convert(mode))
            return samples[:, :, np.newaxis] if samples.ndim == 2 else samples

        if self._call.in_process and _orientation(image) not in _STORED:
            self._call.put("samples", convert(image))  # without a copy
            return
        stored = self._allocate(image, len(mode), np.uint8)
        for rows, band in _bands(image):
            stored[rows] = convert(band)

    def _decode_grey(self, depth: int) -> None:
        image = self._load(self._image)
        key = image.info.get("transparency")
        inverted = isinstance(image, TiffImageFile) and image.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO
        stored = self._allocate(image, 1 if key is None else 2, np.uint16)
        for rows, band in _bands(image):
            grey: Samples = np.asarray(band).astype(np.uint16)
            if depth < 16:  # spread over the full range
                grey = grey << (16 - depth) | grey >> (2 * depth - 16)
            stored[rows, :, 0] = _FULL_16 - grey if inverted else grey
            if key is not None:
                stored[rows, :, 1] = np.where(grey == key, np.uint16(0), _FULL_16)

    def _decode_colour(self) -> None:
        rawmode = _rawmode(self._image.tile[0])
        if rawmode == "LA;16B":  # four bytes, as 8-bit RGBA has
            image = self._load(self._image, "RGBA")
            stored = self._allocate(image, 2, np.uint16)
            for rows, band in _bands(image):
                stored[rows] = np.asarray(band).view(">u2")
            return
        premultiplied = rawmode.startswith("RGBa")
        rawmode = rawmode.replace("RGBa", "RGBA")
        if not rawmode.endswith(tuple(f";16{order}" for order in _OTHER_ORDER)):
            raise ValueError("this kind of 16-bit file is not supported: save it as grey, RGB or RGBA")
        image = self._load(self._image, rawmode)
        key = image.info.get("transparency")
        channels = len(image.getbands())
        stored = self._allocate(image, channels + (key is not None), np.uint16)
        for rows, band in _bands(image):
            stored[rows, :, :channels] = np.asarray(band)
        stored[:, :, :channels] <<= 8
        self._image = image = band = self._file.open()  # only one decoded image in memory at a time
        self._load(image, rawmode[:-1] + _OTHER_ORDER[rawmode[-1]])
        for rows, band in _bands(image):
            stored[rows, :, :channels] |= np.asarray(band)
            if key is not None:
                transparent = (stored[rows, :, :channels] == np.asarray(key)).all(axis=2)
                stored[rows, :, channels] = np.where(transparent, np.uint16(0), _FULL_16)
            if premultiplied:
                stored[rows, :, :3] = _divided(stored[rows, :, :3], stored[rows, :, 3:])

    def _load(self, image: ImageFile.ImageFile, rawmode: str | None = None) -> ImageFile.ImageFile:
        """Decode an open file, unpacking its samples with another raw mode of Pillow if one is given."""
        if rawmode is not None:
            if rawmode == "RGBA":
                image._mode = rawmode
            image.tile = [_with_rawmode(tile, rawmode) for tile in image.tile]
        image.load()
        if image.format == "PNG":
            _check_last_rows(image, self._file.data)
        return image

    def _allocate(self, image: Image.Image, channels: int, dtype: Any) -> Samples:
        """Allocate the upright array. Return a view of it as the file stores it."""
        orientation = _orientation(image)
        width, height = reversed(image.size) if swaps_sides(orientation) else image.size
        upright = self._call.allocate("samples", (height, width, channels), dtype)
        return as_stored(upright, orientation)


def _orientation(image: Image.Image) -> int:
    # The file must be loaded: only then has Pillow rotated a TIFF and dropped the tag, or read a PNG's trailing EXIF.
    return int(image.getexif().get(ExifTags.Base.Orientation, 1))


def _bands(image: Image.Image) -> Iterator[tuple[slice, Image.Image]]:
    """Yield an image in parts, so that a conversion does not take memory for a second image."""
    width, height = image.size
    step = max(1, _BAND // width)
    for top in range(0, height, step):
        bottom = min(top + step, height)
        yield slice(top, bottom), image.crop((0, top, width, bottom))


def _rawmode(tile: Any) -> str:
    return str(tile.args if isinstance(tile.args, str) else tile.args[0])


def _with_rawmode(tile: Any, rawmode: str) -> Any:
    return tile._replace(args=rawmode if isinstance(tile.args, str) else (rawmode, *tile.args[1:]))


def _divided(premultiplied: Samples, alpha: Samples) -> Samples:
    """Undo the premultiplication of colours by alpha, at 16 bits."""
    colours = premultiplied.astype(np.uint32) * 65535 // np.maximum(alpha, 1)
    return np.minimum(colours, 65535).astype(np.uint16)


def _check_last_rows(image: ImageFile.ImageFile, data: bytes) -> None:
    """Refuse a PNG with fewer rows than its header states: Pillow leaves the missing ones zero.

    Raises:
        ValueError: rows are missing.
    """
    width, height = image.size
    last = np.asarray(image.crop((0, max(0, height - 2), width, height)))
    if last.reshape(len(last), -1).any(axis=1).all():
        return
    expected, decompressor = png_size(data), zlib.decompressobj()
    for part in png_pixel_data(data):
        pending = bytes(part)
        while pending and expected > 0:
            expected -= len(decompressor.decompress(pending, _BAND))
            pending = decompressor.unconsumed_tail
    if expected > 0:
        raise ValueError("image file is truncated")
