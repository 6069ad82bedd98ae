"""Decode image files to pictures: every mode and format, at full bit depth.

Ordinary files are decoded in this process, all others in a process of their own (`sandbox`), so a decoder
that crashes, or takes too much memory or time, costs one request.
"""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from serving.core import image_files, jpeg_blocks
from serving.core.errors import InvalidImageError, InvalidMaskError, InvalidRequestError
from serving.core.image_files import FORMATS, Samples, decode_file
from serving.core.image_headers import is_ordinary
from serving.core.sandbox import Checkpoint, Sandbox, SandboxedCallError, no_checkpoint
from serving.core.sandbox_process import LocalCall

__all__ = ["FORMATS", "Picture", "Samples", "decode_image", "decode_mask"]

logger = logging.getLogger(__name__)

sandbox = Sandbox([image_files.__name__, jpeg_blocks.__name__])
"""Where files that are not ordinary are decoded."""

WALL_SECONDS_PER_CPU_SECOND = 10  # other processes use the cores, too


@dataclass(frozen=True)
class Picture:
    """A decoded image.

    Attributes:
        samples: HWC, uint8 or uint16 over the type's full range;
            C is 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGB, alpha).
        icc_profile: the ICC profile of the samples, or None for sRGB.
        exif: a TIFF structure, without the orientation, which has been applied.
        xmp: the XMP packet as it was in the file.
        orientation: the EXIF orientation of the samples in the file, 1 to 8.
    """

    samples: Samples
    icc_profile: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    orientation: int = 1

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


def decode_image(data: bytes, max_pixels: int, checkpoint: Checkpoint = no_checkpoint) -> Picture:
    """Decode an image file: its first frame, with the EXIF orientation applied, at its own bit depth.

    Args:
        data: the file's bytes.
        max_pixels: files with more pixels are refused.
        checkpoint: called while the file is decoded. An exception that it raises cancels the decoding.

    Raises:
        TooManyPixelsError: width times height, read from the header, is over `max_pixels`.
        InvalidImageError: the data is not a complete image in one of `FORMATS`, or takes too much memory or time.
    """
    return _decode(data, "image", InvalidImageError, max_pixels, checkpoint)


def decode_mask(data: bytes, max_pixels: int, checkpoint: Checkpoint = no_checkpoint) -> NDArray[np.bool_]:
    """Decode a mask file to a hole: HW bool, True (white, at least half of full scale) = hole to fill.

    A mask with transparency is composited on black. The arguments are the same as for `decode_image`.

    Raises:
        TooManyPixelsError: width times height, read from the header, is over `max_pixels`.
        InvalidMaskError: the data is not a complete image in one of `FORMATS`, or takes too much memory or time.
    """
    picture = _decode(data, "mask", InvalidMaskError, max_pixels, checkpoint)
    colours = picture.colours
    grey = cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY) if colours.shape[2] == 3 else colours[:, :, 0]
    full = int(np.iinfo(grey.dtype).max)
    half = full // 2 + 1
    if picture.has_alpha:
        return np.asarray(grey.astype(np.uint32) * picture.samples[:, :, -1] >= half * full)
    return np.asarray(grey >= half)


def _decode(
    data: bytes, name: str, invalid: type[InvalidRequestError], max_pixels: int, checkpoint: Checkpoint
) -> Picture:
    checkpoint()
    if is_ordinary(data):
        call = LocalCall()
        orientation = decode_file(call, name.encode(), str(max_pixels).encode(), data)
        return _picture(call.arrays, orientation)
    try:
        return _decode_in_sandbox(data, name, max_pixels, checkpoint)
    except SandboxedCallError as error:
        logger.warning("The decoder %s on a file of %d bytes.", error, len(data))
        reason = "it takes too long" if error.timed_out else "it is damaged, or takes too long"
        raise invalid(f"The {name} cannot be decoded: {reason}.") from error


def _decode_in_sandbox(data: bytes, name: str, max_pixels: int, checkpoint: Checkpoint) -> Picture:
    arguments = name.encode(), str(max_pixels).encode(), data
    seconds = WALL_SECONDS_PER_CPU_SECOND * image_files.cpu_seconds(max_pixels)
    started = time.monotonic()
    try:
        result = sandbox.run(decode_file, *arguments, seconds=seconds, checkpoint=checkpoint)
    except SandboxedCallError as error:
        # The file may be valid: the system may have killed the process for lack of memory. Try again.
        if error.timed_out or time.monotonic() - started > image_files.cpu_seconds(0):
            raise
        result = sandbox.run(decode_file, *arguments, seconds=seconds, checkpoint=checkpoint)
    return _picture(result.arrays, result.facts)


def _picture(arrays: Mapping[str, NDArray[Any]], orientation: int) -> Picture:
    metadata = {name: arrays[name].tobytes() for name in ("icc_profile", "exif", "xmp") if name in arrays}
    return Picture(arrays["samples"], orientation=orientation, **metadata)
