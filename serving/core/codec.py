"""Image files to arrays and back: every mode and format, at full bit depth.

Pillow decodes. It silently reduces 16-bit colour to 8 bits, so OpenCV decodes 16-bit files, which are recognised by
their header. OpenCV also encodes, in a third of Pillow's time for a large photo.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import TiffImageFile

from serving.core.errors import (
    InvalidImageError,
    InvalidMaskError,
    InvalidRequestError,
    TooManyPixelsError,
)

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")

# `max_pixels` limits the number of pixels and is checked on the header of every file opened here.
# Pillow's own limit is global, only warns at first, and refuses photos of the largest cameras.
Image.MAX_IMAGE_PIXELS = None

Samples = NDArray[Any]

_BITS_PER_SAMPLE, _PHOTOMETRIC = 258, 262  # TIFF tags
_WHITE_IS_ZERO, _SEPARATED = 0, 5  # values of the latter; separated is CMYK
_GREY_WITH_ALPHA = 4  # a PNG's colour type
_FULL_16 = np.uint16(65535)

# How to undo each of EXIF's eight orientations; the array's first two axes are rows and columns.
_UPRIGHT: dict[int, Callable[[Samples], Samples]] = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[:, ::-1],
    7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],
    8: lambda a: a.swapaxes(0, 1)[::-1],
}

# Fast, and as small as zlib's default: for photos the filter matters, not zlib's effort.
_PNG_OPTIONS = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_AVG]


@dataclass(frozen=True)
class Picture:
    """A decoded image.

    Attributes:
        samples: HWC, uint8 or uint16 over the type's full range;
            C is 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGB, alpha).
        icc_profile: the ICC profile of the samples, or None for sRGB.
    """

    samples: Samples
    icc_profile: bytes | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.samples.shape[0], self.samples.shape[1]

    @property
    def colours(self) -> Samples:
        """The samples without alpha: HWC with C 1 or 3, a view."""
        return self.samples[:, :, : self.samples.shape[2] - self.has_alpha]

    @property
    def has_alpha(self) -> bool:
        """Whether the last channel is alpha."""
        return self.samples.shape[2] in (2, 4)

    def transparent(self) -> NDArray[np.bool_]:
        """Return HW bool, True where alpha is below half. Requires an alpha channel."""
        return np.asarray(self.samples[:, :, -1] <= np.iinfo(self.samples.dtype).max // 2)

    def with_samples(self, samples: Samples) -> "Picture":
        """Return a copy with other samples."""
        return replace(self, samples=samples)


def decode_image(data: bytes, max_pixels: int) -> Picture:
    """Decode an image file: its first frame, with the EXIF orientation applied, at its own bit depth.

    Raises:
        TooManyPixelsError: width times height, read from the header, is over `max_pixels`.
        InvalidImageError: the data is not a complete image in one of `FORMATS`.
    """
    return _decode(data, "image", InvalidImageError, max_pixels)


def decode_mask(data: bytes, max_pixels: int) -> NDArray[np.bool_]:
    """Decode a mask file to a hole: HW bool, True (white, at least half of full scale) = hole to fill.

    A mask with transparency is composited on black.

    Raises:
        TooManyPixelsError: width times height, read from the header, is over `max_pixels`.
        InvalidMaskError: the data is not a complete image in one of `FORMATS`.
    """
    picture = _decode(data, "mask", InvalidMaskError, max_pixels)
    colours = picture.colours
    grey = cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY) if colours.shape[2] == 3 else colours[:, :, 0]
    full = int(np.iinfo(grey.dtype).max)
    half = full // 2 + 1
    if picture.has_alpha:
        return np.asarray(grey.astype(np.uint32) * picture.samples[:, :, -1] >= half * full)
    return np.asarray(grey >= half)


def encode_png(picture: Picture) -> bytes:
    """Encode as PNG in the same mode and bit depth, with the ICC profile. Optimised for speed, not for size.

    16-bit grey with alpha is written as RGBA: OpenCV does not support the mode, nor Pillow the depth.
    """
    samples, profile = picture.samples, picture.icc_profile
    channels = samples.shape[2]
    if channels == 2 and samples.dtype == np.uint8:
        buffer = io.BytesIO()
        Image.fromarray(samples).save(buffer, "PNG", compress_level=1, icc_profile=profile)
        return buffer.getvalue()
    if channels == 2:
        samples, profile = samples[:, :, [0, 0, 0, 1]], None  # a grey profile is invalid for RGB
    elif channels > 2:
        samples = cv2.cvtColor(samples, cv2.COLOR_RGB2BGR if channels == 3 else cv2.COLOR_RGBA2BGRA)
    written = False
    if profile:
        metadata = [cv2.IMAGE_METADATA_ICCP], [np.frombuffer(profile, np.uint8)]
        written, png = cv2.imencodeWithMetadata(".png", samples, *metadata, _PNG_OPTIONS)
    if not written:  # no profile, or a damaged one that libpng refuses
        _, png = cv2.imencode(".png", samples, _PNG_OPTIONS)
    return png.tobytes()


def _decode(data: bytes, name: str, invalid: type[InvalidRequestError], max_pixels: int) -> Picture:
    try:
        file = Image.open(io.BytesIO(data), formats=FORMATS)
    except Exception as error:
        raise invalid(
            f"The {name} cannot be read ({len(data)} bytes): send a complete PNG, JPEG, WebP, BMP or TIFF file."
        ) from error
    width, height = file.size
    if width * height > max_pixels:
        raise TooManyPixelsError(
            f"The {name} has {width}x{height} pixels; at most {max_pixels} are accepted."
        )
    # Malformed files make the decoders raise many other types, too: SyntaxError, struct.error, cv2.error and more.
    try:
        file.load()
        return _deep(file, data) if _is_deep(file, data) else _shallow(file)
    except (OSError, ValueError) as error:
        raise invalid(f"The {name} cannot be decoded: {error}.") from error
    except Exception as error:
        raise invalid(f"The {name} cannot be decoded: it is damaged.") from error


def _is_deep(file: Image.Image, data: bytes) -> bool:
    if file.format == "PNG":
        return data[24] == 16  # the bit depth in IHDR, always the first chunk
    return isinstance(file, TiffImageFile) and max(file.tag_v2.get(_BITS_PER_SAMPLE, (1,))) == 16


def _shallow(file: Image.Image) -> Picture:
    if file.mode in ("I", "F"):
        raise ValueError("it has 32 bits per sample: save it with 8 or 16")
    grey = file.mode in ("1", "L", "LA", "La")
    mode = ("L" if grey else "RGB") + "A" * file.has_transparency_data
    samples = _upright(file, np.asarray(file if file.mode == mode else file.convert(mode)))
    # A CMYK profile does not apply to the converted samples.
    profile = None if file.mode == "CMYK" else file.info.get("icc_profile")
    return Picture(samples[:, :, np.newaxis] if samples.ndim == 2 else samples, profile)


def _deep(file: Image.Image, data: bytes) -> Picture:
    photometric = file.tag_v2.get(_PHOTOMETRIC) if isinstance(file, TiffImageFile) else None
    samples = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if samples is None or samples.dtype != np.uint16 or photometric == _SEPARATED:
        raise ValueError("this kind of 16-bit file is not supported: save it as grey, RGB or RGBA")
    if samples.ndim == 2:
        samples = samples[:, :, np.newaxis]
        if photometric == _WHITE_IS_ZERO:
            samples = _FULL_16 - samples
        if (key := file.info.get("transparency")) is not None:
            samples = np.concatenate([samples, np.where(samples == key, np.uint16(0), _FULL_16)], axis=2)
    else:
        samples = cv2.cvtColor(samples, cv2.COLOR_BGR2RGB if samples.shape[2] == 3 else cv2.COLOR_BGRA2RGBA)
        if file.format == "PNG" and data[25] == _GREY_WITH_ALPHA:
            samples = samples[:, :, [0, 3]]
    # OpenCV applies the orientation of a TIFF itself, but not of other 16-bit files.
    samples = samples if file.format == "TIFF" else _upright(file, samples)
    return Picture(samples, file.info.get("icc_profile"))


def _upright(file: Image.Image, array: Samples) -> Samples:
    # The file must be loaded: only then has Pillow rotated a TIFF and dropped the tag, or read a PNG's trailing EXIF.
    turn = _UPRIGHT.get(file.getexif().get(ExifTags.Base.Orientation, 1))
    return array if turn is None else np.ascontiguousarray(turn(array))
