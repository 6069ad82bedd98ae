"""Encode pictures as image files: PNG, WebP and JPEG, with their metadata.

PNG and WebP are lossless. OpenCV writes PNG, in a third of Pillow's time for a large photo. Large pictures are encoded
in a process of their own, since an encoder cannot be cancelled in any other way.
"""

import io
import json
import logging
import struct
import zlib
from dataclasses import replace
from math import inf

import cv2
import numpy as np
from PIL import Image, PngImagePlugin

from serving.core import sandbox as sandboxes
from serving.core.codec import Picture, Samples
from serving.core.contract import IMAGE_TYPES, ImageFormat, Metadata
from serving.core.errors import InvalidRequestError
from serving.core.image_files import swaps_sides
from serving.core.metadata import exif_of, upright_xmp
from serving.core.sandbox import Checkpoint, Sandbox, SandboxedCallError, no_checkpoint
from serving.core.sandbox_process import Call

logger = logging.getLogger(__name__)

sandbox = Sandbox([__name__])
"""Where large pictures are encoded."""

_MAX_PIXELS_IN_PROCESS = {"png": 16_000_000, "jpeg": 16_000_000, "webp": 4_000_000}  # more take over a second
# For photos the filter matters, not zlib's effort: run-length encoding alone takes two thirds of the time of
# zlib's level 1, and the file is no larger.
_PNG_OPTIONS = [
    *(cv2.IMWRITE_PNG_COMPRESSION, 1),
    *(cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_AVG),
    *(cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE),
]
_WEBP_OPTIONS = {"lossless": True, "exact": True, "method": 0, "quality": 20}  # quality: the effort
_JPEG_OPTIONS = {"quality": 95, "subsampling": 0}
_LARGEST_SIDE = {"webp": 16383, "jpeg": 65500}
_MAX_JPEG_SEGMENT = 65_000  # bytes of EXIF or XMP
_XMP_KEYWORD = "XML:com.adobe.xmp"  # of a PNG's chunk
_AFTER_HEADER = 33  # where the second chunk of a PNG starts
_GREY_AS_RGBA = [0, 0, 0, 1]
_COLOURS_OF_PROFILE = {b"GRAY": 1, b"RGB ": 3}


def check_side(image_format: ImageFormat, size: tuple[int, int]) -> None:
    """Raise an error if the format cannot hold an image of this height and width.

    Raises:
        InvalidRequestError: a side is too long.
    """
    largest = _LARGEST_SIDE.get(image_format)
    if largest is not None and max(size) > largest:
        raise InvalidRequestError(
            f"The format {IMAGE_TYPES[image_format]} holds at most {largest} pixels per side, and the image "
            f"has {size[1]}x{size[0]}: request PNG."
        )


def with_metadata(picture: Picture, metadata: Metadata, orientation: int = 1) -> Picture:
    """Return the picture with the metadata that a response keeps.

    Args:
        picture: the picture, as displayed.
        metadata: what to keep. The colour profile is always kept.
        orientation: the EXIF orientation in which its pixels will be stored.
    """
    if metadata == "none" and orientation == 1:
        return replace(picture, exif=None, xmp=None)
    height, width = picture.size
    exif = exif_of(
        b"" if metadata == "none" or picture.exif is None else picture.exif,
        size=(width, height) if swaps_sides(orientation) else (height, width),
        orientation=orientation,
        location=metadata == "all",
    )
    xmp = picture.xmp if metadata == "all" else None  # which may repeat the location
    return replace(picture, exif=exif, xmp=upright_xmp(xmp) if xmp and orientation == 1 else xmp)


def encode(picture: Picture, image_format: ImageFormat, checkpoint: Checkpoint = no_checkpoint) -> bytes:
    """Encode a picture as displayed: `picture.orientation` is ignored.

    PNG keeps mode and bit depth, but 16-bit grey with alpha is written as RGBA: OpenCV does not support the mode, nor
    Pillow the depth. WebP and JPEG have 8 bits. JPEG has no alpha: the picture is composited on white.

    Args:
        picture: the picture.
        image_format: the format.
        checkpoint: called while a large picture is encoded. An exception that it raises cancels the encoding.
    """
    height, width = picture.size
    if sandboxes.AVAILABLE and height * width > _MAX_PIXELS_IN_PROCESS[image_format]:
        try:
            return _encode_in_sandbox(picture, image_format, checkpoint)
        except SandboxedCallError as error:
            logger.warning("The encoder %s on %dx%d pixels: encoding in process.", error, width, height)
    return _encode(picture, image_format)


def _encode_in_sandbox(picture: Picture, image_format: ImageFormat, checkpoint: Checkpoint) -> bytes:
    samples = np.ascontiguousarray(picture.samples)
    facts = {
        "format": image_format,
        "shape": samples.shape,
        "dtype": samples.dtype.str,
        "metadata": [(value or b"").hex() for value in (picture.icc_profile, picture.exif, picture.xmp)],
    }
    blobs = json.dumps(facts).encode(), samples.data.cast("B")
    result = sandbox.run(encode_samples, *blobs, seconds=inf, checkpoint=checkpoint)
    return result.arrays["file"].tobytes()


def encode_samples(call: Call, facts: bytes, samples: bytes) -> None:
    """Encode a picture in the sandbox: put the array `file` into `call`."""
    picture = json.loads(facts)
    array = np.frombuffer(samples, picture["dtype"]).reshape(picture["shape"])
    icc_profile, exif, xmp = (bytes.fromhex(value) or None for value in picture["metadata"])
    file = _encode(Picture(array, icc_profile, exif, xmp), picture["format"])
    call.put("file", np.frombuffer(file, np.uint8))


def warm_up() -> None:
    """Load Pillow's encoders before the first call."""
    Image.init()


def _encode(picture: Picture, image_format: ImageFormat) -> bytes:
    if image_format == "png":
        return _encode_png(picture)
    samples = picture.samples
    if samples.dtype != np.uint8:
        samples = np.rint(samples / 257).astype(np.uint8)
    if image_format == "webp":
        if samples.shape[2] <= 2:  # WebP has no grey
            samples = samples[:, :, _GREY_AS_RGBA[: samples.shape[2] + 2]]
        return _by_pillow(samples, picture, "WEBP", **_WEBP_OPTIONS)
    if picture.has_alpha:
        samples = _on_white(samples)
    return _by_pillow(samples, picture, "JPEG", **_JPEG_OPTIONS)


def _encode_png(picture: Picture) -> bytes:
    """Encode as PNG. Optimised for speed, not for size."""
    samples = picture.samples
    channels = samples.shape[2]
    if channels == 2 and samples.dtype == np.uint8:
        return _by_pillow(samples, picture, "PNG", compress_level=1)
    if channels == 2:
        samples = samples[:, :, _GREY_AS_RGBA]
    elif channels > 2:
        samples = cv2.cvtColor(samples, cv2.COLOR_RGB2BGR if channels == 3 else cv2.COLOR_RGBA2BGRA)
    metadata = {
        cv2.IMAGE_METADATA_EXIF: picture.exif,
        cv2.IMAGE_METADATA_ICCP: _profile_for(samples, picture),
    }
    metadata = {kind: value for kind, value in metadata.items() if value}
    while metadata:
        values = [np.frombuffer(value, np.uint8) for value in metadata.values() if value]
        written, png = cv2.imencodeWithMetadata(".png", samples, [*metadata], values, _PNG_OPTIONS)
        if written:
            break
        metadata.popitem()  # libpng refuses damaged profiles
    else:
        _, png = cv2.imencode(".png", samples, _PNG_OPTIONS)
    return _with_xmp(png.tobytes(), picture.xmp) if picture.xmp else png.tobytes()


def _with_xmp(png: bytes, xmp: bytes) -> bytes:
    """Return a PNG file with XMP in an iTXt chunk, as XMP's specification requires; OpenCV would use tEXt."""
    chunk = b"iTXt" + _XMP_KEYWORD.encode() + bytes(5) + xmp
    whole = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return png[:_AFTER_HEADER] + whole + png[_AFTER_HEADER:]


def _by_pillow(samples: Samples, picture: Picture, pillow_format: str, **options: object) -> bytes:
    exif, xmp = picture.exif or b"", picture.xmp or b""
    if pillow_format == "JPEG":
        exif, xmp = (value if len(value) <= _MAX_JPEG_SEGMENT else b"" for value in (exif, xmp))
    if pillow_format == "PNG":
        options["pnginfo"] = info = PngImagePlugin.PngInfo()
        if xmp:
            info.add_itxt(_XMP_KEYWORD, xmp)
    elif xmp:
        options["xmp"] = xmp
    if exif:
        options["exif"] = b"Exif\0\0" + exif
    if profile := _profile_for(samples, picture):
        options["icc_profile"] = profile
    buffer = io.BytesIO()
    image = Image.fromarray(samples[:, :, 0] if samples.shape[2] == 1 else samples)
    image.save(buffer, pillow_format, **options)
    return buffer.getvalue()


def _profile_for(samples: Samples, picture: Picture) -> bytes | None:
    """Return the picture's profile if it applies to these samples: a grey profile is invalid for RGB."""
    profile = picture.icc_profile
    if profile is None:
        return None
    colours = 3 if samples.shape[2] >= 3 else 1
    return profile if _COLOURS_OF_PROFILE.get(profile[16:20], colours) == colours else None


def _on_white(samples: Samples) -> Samples:
    colours, alpha = samples[:, :, :-1], samples[:, :, -1:].astype(np.uint16)
    return ((colours * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
