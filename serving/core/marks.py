"""Find marks in a photo (scratches, dust, pen strokes and lines) and propose a mask for them.

A small network (`training.network.marks_unet`) gives each pixel its probability of belonging to a mark. The larger a
photo, the wider its marks in pixels, so a large one is searched at a reduced size, like those of the training.
"""

from pathlib import Path
from typing import Final

import cv2
import numpy as np

from serving.core.codec import Picture, decode_image
from serving.core.encoders import encode
from serving.core.graph import Bools, Floats
from serving.core.marks_contract import DEFAULT_SENSITIVITY, MarksRequest, MarksResponse
from serving.core.models import packaged
from serving.core.pipeline import DEFAULT_MAX_PIXELS
from serving.core.runtime import open_session
from serving.core.sandbox import Checkpoint, no_checkpoint
from serving.core.turns import Turn, no_turns

IMAGE: Final = "image"
"""The graph's input: [N,3,H,W] float32 RGB in [0, 1], of any size."""
MARKS: Final = "marks"
"""The graph's output: [N,1,H,W] float32 in [0, 1], the probability that a pixel belongs to a mark."""

MAX_PIXELS = 400_000
"""A larger photo is reduced to this many pixels before it is searched."""

_STRICTEST, _LOOSEST = 0.98, 0.02  # minimum probability of a mark at sensitivity 0 and 1
_MARGIN = 1  # pixels around what is found, at the size of the search: marks have soft edges


class MarkDetector:
    """The network that finds marks, on one CPU thread. Its methods are thread-safe."""

    def __init__(self, path: Path | None = None) -> None:
        """Load the network.

        Args:
            path: the ONNX file; by default the one that ships.

        Raises:
            ModelFileError: the file is missing, or ONNX Runtime cannot load it.
        """
        self._session = open_session(
            path or packaged("marks/marks.onnx"), ["CPUExecutionProvider"], threads=1
        )

    def respond(
        self,
        request: MarksRequest,
        max_pixels: int = DEFAULT_MAX_PIXELS,
        checkpoint: Checkpoint = no_checkpoint,
        turn: Turn = no_turns,
    ) -> MarksResponse:
        """Propose a mask for a request's image.

        Args:
            request: the image file and the sensitivity.
            max_pixels: an image with more pixels is refused.
            checkpoint: called while files are decoded and encoded. An exception that it raises cancels the work.
            turn: entered for the run of the network.

        Raises:
            InvalidImageError: the image cannot be decoded.
            TooManyPixelsError: it has too many pixels.
        """
        picture = decode_image(request.image, max_pixels, checkpoint)
        marks = self.find(picture, request.sensitivity, turn)
        mask = encode(Picture(marks[:, :, np.newaxis].astype(np.uint8) * 255), "png", checkpoint)
        height, width = marks.shape
        return MarksResponse(mask, width, height, float(marks.mean()))

    def find(
        self, picture: Picture, sensitivity: float = DEFAULT_SENSITIVITY, turn: Turn = no_turns
    ) -> Bools:
        """Propose a hole that covers the picture's marks.

        Args:
            picture: the photo; its transparency is ignored.
            sensitivity: from 0 (only what is certainly a mark) to 1 (whatever may be one).
            turn: entered for the run of the network.

        Returns:
            HW bool, True = mark.
        """
        height, width = picture.size
        with turn():
            (probability,) = self._session.run([MARKS], {IMAGE: _to_input(picture)})
        found = probability[0, 0] > _STRICTEST + (_LOOSEST - _STRICTEST) * sensitivity
        side = 2 * _MARGIN + 1
        grown = cv2.dilate(found.astype(np.uint8), np.ones((side, side), np.uint8))
        return np.asarray(cv2.resize(grown, (width, height), interpolation=cv2.INTER_NEAREST) > 0)


def _to_input(picture: Picture) -> Floats:
    """Return the photo as the network's input, [1,3,h,w] with at most `MAX_PIXELS` pixels."""
    height, width = picture.size
    scale = min(1.0, (MAX_PIXELS / (height * width)) ** 0.5)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    reduced = cv2.resize(picture.colours, size, interpolation=cv2.INTER_AREA)
    rgb = np.broadcast_to(reduced.reshape(size[1], size[0], -1), (size[1], size[0], 3))
    full = np.float32(np.iinfo(picture.samples.dtype).max)
    return np.ascontiguousarray(rgb.transpose(2, 0, 1)[np.newaxis], dtype=np.float32) / full
