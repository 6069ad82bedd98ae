"""Pictures and masks for tests, as arrays and as files, and the difference between two pictures.

The face is scikit-image's astronaut: NASA, public domain.
"""

import io
import itertools
import struct
import zlib
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage import data

Samples = NDArray[Any]  # uint8 or uint16
Bytes = NDArray[np.uint8]
Bools = NDArray[np.bool_]

MODEL_SIDE = 178
RED = (255, 0, 0)


@cache
def face(height: int = MODEL_SIDE, width: int = MODEL_SIDE) -> Bytes:
    """A face, HW3 uint8 RGB, scaled to the size asked for. Do not write into it."""
    crop: Bytes = data.astronaut()[11:189, 131:309]  # type: ignore[no-untyped-call]
    return cv2.resize(crop, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.uint8, copy=False)


def scratch(height: int, width: int, thickness: int) -> Bools:
    """A mask, HW bool, True = hole: one crooked line across the whole picture, away from its border."""
    points = [(0.05, 0.1), (0.55, 0.35), (0.35, 0.6), (0.95, 0.9)]
    mask = np.zeros((height, width), np.uint8)
    for start, end in itertools.pairwise((int(x * width), int(y * height)) for x, y in points):
        cv2.line(mask, start, end, 255, thickness)
    return mask > 0


def block(height: int, width: int, top: int, left: int, side: int) -> Bools:
    """A mask, HW bool, True = hole: one square."""
    mask = np.zeros((height, width), bool)
    mask[top : top + side, left : left + side] = True
    return mask


def painted(photo: Samples, hole: Bools, colour: tuple[int, ...] = RED) -> Samples:
    """The photo with its hole in one colour: a pen line that somebody wants removed."""
    marked = photo.copy()
    marked[hole] = colour
    return marked


def as_mask(hole: Bools) -> Bytes:
    """HW uint8: 255 = hole."""
    return hole.astype(np.uint8) * 255


def encode(picture: Samples | Image.Image, picture_format: str = "PNG", **options: object) -> bytes:
    """A picture file, made by Pillow from an image or an array HW, HW1 (grey) or HWC (RGB, RGBA)."""
    if not isinstance(picture, Image.Image):
        picture = Image.fromarray(picture[:, :, 0] if picture.shape[2:] == (1,) else picture)
    if picture_format == "PNG":
        options.setdefault("compress_level", 1)
    buffer = io.BytesIO()
    picture.save(buffer, picture_format, **options)
    return buffer.getvalue()


def encode_mask(hole: Bools) -> bytes:
    """A mask file: PNG, grey, white = hole."""
    return encode(as_mask(hole))


def decode_rgba(file: bytes) -> Samples:
    """Decode a PNG to HW4 RGBA at its own depth, uint8 or uint16, ignoring its metadata.

    OpenCV decodes it, since Pillow would reduce 16-bit colour to 8 bits.
    """
    flags = cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION
    samples = cv2.imdecode(np.frombuffer(file, np.uint8), flags)
    assert samples is not None, f"not a picture: {file[:40]!r}"
    channels = 1 if samples.ndim == 2 else samples.shape[2]
    conversion = {1: cv2.COLOR_GRAY2RGBA, 3: cv2.COLOR_BGR2RGBA, 4: cv2.COLOR_BGRA2RGBA}[channels]
    return cv2.cvtColor(samples, conversion)


def rms(first: Samples, second: Samples, where: Bools) -> float:
    """Root mean square difference of two uint8 pictures, HW3, over part of their pixels, in grey levels."""
    difference = first[where].astype(np.float64) - second[where].astype(np.float64)
    return float(np.sqrt(np.mean(difference**2)))


def png_file(*chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG file of these chunks, each a type and its content, with correct lengths and checksums."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(kind, content) for kind, content in chunks)


def png_chunk(kind: bytes, content: bytes) -> bytes:
    """One chunk of a PNG file, with its length and checksum."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
