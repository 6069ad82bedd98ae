"""The pipeline: from the bytes of an image and a mask to the bytes of the filled image, on every engine.

decode → prepare → run → composite → encode.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter

import cv2
import numpy as np

from serving.core.codec import Picture, Samples, decode_image, decode_mask
from serving.core.contract import FillRequest, FillResponse, own_format
from serving.core.encoders import check_side, encode, with_metadata
from serving.core.errors import InvalidMaskError, MaskSizeMismatchError, MissingInputError
from serving.core.graph import Bools, Floats
from serving.core.image_headers import image_pixels
from serving.core.jpeg_edit import edit_jpeg
from serving.core.pyramid import WHOLE, fill_holes
from serving.core.runtime import Runtime
from serving.core.sandbox import Checkpoint, no_checkpoint
from serving.core.tiling import Model
from serving.core.turns import Turn, no_turns

DEFAULT_MAX_PIXELS = 64_000_000

_STAGES = ("decode", "prepare", "run", "composite", "encode")


@dataclass(frozen=True)
class Filled:
    """A response, and how long it took.

    Attributes:
        response: the filled image and facts about it.
        seconds: wall time by stage: decode, prepare, run (including the wait for its turns), composite,
            encode.
    """

    response: FillResponse
    seconds: Mapping[str, float]


class Pipeline:
    """Fills the holes of images with one model. Its methods are thread-safe."""

    def __init__(self, runtime: Runtime, max_pixels: int = DEFAULT_MAX_PIXELS) -> None:
        """Create a pipeline.

        Args:
            runtime: the model.
            max_pixels: images with more pixels are refused.
        """
        self._runtime = runtime
        self._max_pixels = max_pixels

    @property
    def small_pixels(self) -> int:
        """Maximum number of pixels of an image that is filled in one run of the model."""
        side = self._runtime.side * (1 if self._runtime.fixed else WHOLE)
        return int(side**2)

    def pixels(self, *files: bytes | None) -> int:
        """Return how many pixels the largest file has, as its header states.

        A kind of file whose header is not read counts as the maximum.
        """
        return min(self._max_pixels, max(image_pixels(file) or self._max_pixels for file in files if file))

    def fill(
        self, request: FillRequest, checkpoint: Checkpoint = no_checkpoint, turn: Turn = no_turns
    ) -> Filled:
        """Fill the hole of a request's image.

        Args:
            request: the image, the mask and the options.
            checkpoint: called before each run of the model, of which a large image takes hundreds, and while files
                are decoded and encoded. An exception that it raises cancels the work.
            turn: entered for each run of the model.

        Raises:
            InvalidImageError, InvalidMaskError: a file cannot be decoded, or the mask covers the whole image.
            MissingInputError: there is no mask, and the image has no transparency to use instead.
            MaskSizeMismatchError: mask and image differ in size.
            TooManyPixelsError: a file has too many pixels.
            InvalidRequestError: the image has too long a side for the format of the response.
            ModelOutputError: the model's output is invalid.
        """
        clock = _Clock()
        with clock.stage("decode"):
            picture, hole = self._decode(request, checkpoint)
        with clock.stage("prepare"):
            if request.output_size == "model":
                picture, hole = _resized(picture, hole, self._runtime.side)
            check_side(request.image_format, picture.size)
            filling = self._filling(picture, hole, clock, checkpoint, turn)
        with clock.stage("composite"):
            picture = _composite(picture, filling, hole, opaque=request.mask is None)
        with clock.stage("encode"):
            image = self._encode(request, picture, hole, checkpoint)
        height, width = picture.size
        ratio, runtime = float(hole.mean()), self._runtime
        response = FillResponse(
            image, width, height, ratio, runtime.version, runtime.name, request.image_format
        )
        return Filled(response, clock.seconds)

    def _encode(self, request: FillRequest, picture: Picture, hole: Bools, checkpoint: Checkpoint) -> bytes:
        image_format = request.image_format
        if image_format == own_format(request.image) == "jpeg" and request.output_size == "original":
            stored = with_metadata(picture, request.metadata, picture.orientation)
            if edited := edit_jpeg(request.image, stored, hole, checkpoint):
                return edited
        return encode(with_metadata(picture, request.metadata), image_format, checkpoint)

    def _filling(
        self, picture: Picture, hole: Bools, clock: "_Clock", checkpoint: Checkpoint, turn: Turn
    ) -> Samples:
        """Return the values of the hole's n pixels in row-major order: [n,3] RGB."""

        def run(images: Floats, known: Floats) -> Floats:
            checkpoint()
            with clock.stage("run"):
                return self._runtime.run(images, known, turn)

        rgb = np.broadcast_to(picture.colours, (*picture.size, 3))
        model = Model(run, self._runtime.side, self._runtime.batch, self._runtime.fixed)
        return fill_holes(rgb, hole, model)[hole]

    def _decode(self, request: FillRequest, checkpoint: Checkpoint) -> tuple[Picture, Bools]:
        picture = decode_image(request.image, self._max_pixels, checkpoint)
        if request.mask is not None:
            hole = decode_mask(request.mask, self._max_pixels, checkpoint)
        elif picture.has_alpha:
            hole = picture.transparent()
        else:
            raise MissingInputError(
                "The field 'mask' is missing, and the image has no transparency to use instead: "
                "send a mask, white where the image is to be filled."
            )
        if hole.shape != picture.size:
            raise MaskSizeMismatchError(
                f"The mask has {hole.shape[1]}x{hole.shape[0]} pixels and the image "
                f"{picture.size[1]}x{picture.size[0]} (with its EXIF orientation applied): they must be equal."
            )
        if hole.all():
            raise InvalidMaskError("The mask covers the whole image: some of the image must be known.")
        return picture, hole


class _Clock:
    """Sums wall time by stage. The time of a nested stage is not counted in the outer one."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(_STAGES, 0.0)
        self._inner = 0.0

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start, self._inner, outer = perf_counter(), 0.0, self._inner
        try:
            yield
        finally:
            elapsed = perf_counter() - start
            self.seconds[name] += elapsed - self._inner
            self._inner = outer + elapsed


def _resized(picture: Picture, hole: Bools, side: int) -> tuple[Picture, Bools]:
    """Return picture and hole at side x side: a pixel is a hole if any hole pixel contributes to it."""
    without_hole = np.where(hole[:, :, np.newaxis], picture.samples.dtype.type(0), picture.samples)
    small_hole = _resize(hole.astype(np.float32), side) > 0
    if small_hole.all():
        raise InvalidMaskError(
            f"At {side}x{side} pixels the mask covers the whole image: use output_size 'original'."
        )
    return picture.with_samples(_resize(without_hole, side).reshape(side, side, -1)), small_hole


def _resize(array: Samples, side: int) -> Samples:
    # INTER_AREA averages only if both axes shrink; otherwise it would skip pixels of the one that does.
    height, width = array.shape[:2]
    smaller = cv2.resize(array, (min(width, side), min(height, side)), interpolation=cv2.INTER_AREA)
    return cv2.resize(smaller, (side, side), interpolation=cv2.INTER_LINEAR)


def _composite(picture: Picture, filling: Samples, hole: Bools, *, opaque: bool) -> Picture:
    """Copy the filling into the hole. `opaque`: make the hole opaque, because its transparency was the mask."""
    samples = picture.samples.copy()
    channels = picture.colours.shape[2]
    samples[hole, :channels] = filling if channels == 3 else np.rint(filling.mean(axis=1, keepdims=True))
    if opaque:
        samples[hole, -1] = np.iinfo(samples.dtype).max
    return picture.with_samples(samples)
