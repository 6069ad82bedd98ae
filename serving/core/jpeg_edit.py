"""Re-encode a filled JPEG only where the hole is. `jpeg_blocks` does it, in the sandbox."""

import logging

import cv2
import numpy as np

from serving.core import jpeg_blocks
from serving.core.codec import WALL_SECONDS_PER_CPU_SECOND, Picture, decode_image, sandbox
from serving.core.errors import InvalidImageError
from serving.core.graph import Bools
from serving.core.image_files import as_stored, cpu_seconds
from serving.core.jpeg_blocks import CELL, Cells, metadata_segments, replace_blocks
from serving.core.sandbox import Checkpoint, SandboxedCallError

logger = logging.getLogger(__name__)


def edit_jpeg(file: bytes, filled: Picture, hole: Bools, checkpoint: Checkpoint) -> bytes | None:
    """Return a JPEG file with its hole filled. Its pixels stay in the file's own orientation.

    Args:
        file: the photo.
        filled: the filled photo, as displayed, with the metadata for the new file.
        hole: HW bool, True = hole, as displayed.
        checkpoint: called while another process works. An exception that it raises cancels the work.

    Returns:
        The new file, or None if this kind of file is not supported, such as CMYK.
    """
    if not jpeg_blocks.AVAILABLE or filled.samples.dtype != np.uint8 or filled.has_alpha:
        return None
    stored = as_stored(hole, filled.orientation)
    cells = Cells.of(as_stored(filled.samples, filled.orientation), stored)
    segments = metadata_segments(filled.exif, filled.xmp, filled.icc_profile)
    blobs = (array.tobytes() for array in (cells.positions, cells.pixels, cells.hole))
    try:
        result = sandbox.run(
            replace_blocks,
            file,
            *blobs,
            segments,
            seconds=WALL_SECONDS_PER_CPU_SECOND * cpu_seconds(hole.size),
            checkpoint=checkpoint,
        )
        if not result.facts:
            return None
        edited = result.arrays["file"].tobytes()
        again = decode_image(edited, hole.size, checkpoint)
    except (SandboxedCallError, InvalidImageError) as error:
        logger.warning(
            "A JPEG of %d bytes could not be edited and is encoded as a whole: %s", len(file), error
        )
        return None
    if not _is_same(filled, again, stored):
        logger.warning(
            "An edited JPEG of %d bytes differs outside the hole and is encoded as a whole.", len(file)
        )
        return None
    return edited


def _is_same(filled: Picture, again: Picture, stored_hole: Bools) -> bool:
    """Tell whether the pixels are the same, except near the hole, where colours are interpolated."""
    if again.samples.shape != filled.samples.shape:
        return False
    near = cv2.dilate(stored_hole.astype(np.uint8), np.ones((2 * CELL + 1, 2 * CELL + 1), np.uint8)) > 0
    difference = (
        as_stored(again.samples, again.orientation) != as_stored(filled.samples, filled.orientation)
    ).any(axis=2)
    return not (difference & ~near).any()
