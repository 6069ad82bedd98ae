"""From the bytes of a photo and a mask to the bytes of the filled photo: the one way, for both engines.

decode → prepare → run → composite → encode.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter

import cv2
import numpy as np

from serving.core.codec import Picture, Samples, decode_image, decode_mask, encode_png
from serving.core.contract import Answer, FillRequest
from serving.core.errors import InvalidMaskException, MaskSizeMismatchException, MissingInputException
from serving.core.pyramid import fill_holes
from serving.core.runtime import Runtime
from serving.core.tiling import Bools, Floats, Model

DEFAULT_MAX_PIXELS = 64_000_000

_STAGES = ("decode", "prepare", "run", "composite", "encode")


@dataclass(frozen=True)
class Filled:
    """An answer, and what it took.

    Attributes:
        answer: what goes back to the client.
        seconds: wall time by stage: decode, prepare, run, composite, encode.
    """

    answer: Answer
    seconds: Mapping[str, float]


class Pipeline:
    """Fills the holes of photos with one model; its methods may be called from several threads."""

    def __init__(self, runtime: Runtime, max_pixels: int = DEFAULT_MAX_PIXELS) -> None:
        """Take the model that fills, and the number of pixels over which a picture is refused."""
        self._runtime = runtime
        self._max_pixels = max_pixels

    def fill(self, request: FillRequest, checkpoint: Callable[[], None] = lambda: None) -> Filled:
        """Answer a request.

        Args:
            request: the photo, the mask and what is wanted.
            checkpoint: called before each run of the model, of which a large photo takes hundreds; what it raises
                ends the work.

        Raises:
            InvalidImageException, InvalidMaskException: a file cannot be decoded, or nothing is known.
            MissingInputException: no mask, and no transparency in its place.
            MaskSizeMismatchException: the mask is of another size than the image.
            TooManyPixelsException: a file has too many pixels.
            ModelOutputException: the model failed.
        """
        clock = _Clock()
        with clock.stage("decode"):
            picture, hole = self._decode(request)
        with clock.stage("prepare"):
            if request.output_size == "model":
                picture, hole = _resized(picture, hole, self._runtime.side)
            filling = self._filling(picture, hole, clock, checkpoint)
        with clock.stage("composite"):
            picture = _composite(picture, filling, hole, opaque=request.mask is None)
        with clock.stage("encode"):
            png = encode_png(picture)
        height, width = picture.size
        answer = Answer(png, width, height, float(hole.mean()), self._runtime.version)
        return Filled(answer, clock.seconds)

    def _filling(
        self, picture: Picture, hole: Bools, clock: "_Clock", checkpoint: Callable[[], None]
    ) -> Samples:
        """Return what belongs into the hole: [n,3] RGB, pixel by pixel as numpy lists the mask's."""

        def run(images: Floats, masks: Floats) -> Floats:
            checkpoint()
            with clock.stage("run"):
                return self._runtime.run(images, masks)

        rgb = np.broadcast_to(picture.colours, (*picture.size, 3))
        return fill_holes(rgb, hole, Model(run, self._runtime.side, self._runtime.batch))[hole]

    def _decode(self, request: FillRequest) -> tuple[Picture, Bools]:
        picture = decode_image(request.image, self._max_pixels)
        if request.mask is not None:
            hole = decode_mask(request.mask, self._max_pixels)
        elif picture.has_alpha:
            hole = picture.transparent()
        else:
            raise MissingInputException(
                "The field 'mask' is missing, and the image has no transparency to stand in for it: "
                "send a mask, white where the image is to be filled."
            )
        if hole.shape != picture.size:
            raise MaskSizeMismatchException(
                f"The mask has {hole.shape[1]}x{hole.shape[0]} pixels, the image "
                f"{picture.size[1]}x{picture.size[0]} (upright by EXIF orientation): they must be equal."
            )
        if hole.all():
            raise InvalidMaskException("The mask covers the whole image: some of it must be known.")
        return picture, hole


class _Clock:
    """Adds up wall time by stage; a stage inside another counts for itself alone."""

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
    """Return picture and hole at side x side: a pixel that any hole pixel has a part in is a hole."""
    known = np.where(hole[:, :, np.newaxis], picture.samples.dtype.type(0), picture.samples)
    small_hole = _resize(hole.astype(np.float32), side) > 0
    if small_hole.all():
        raise InvalidMaskException(
            f"At {side}x{side} pixels the mask covers the whole image: ask for output_size 'original'."
        )
    return picture.with_samples(_resize(known, side).reshape(side, side, -1)), small_hole


def _resize(array: Samples, side: int) -> Samples:
    # OpenCV averages areas only where both axes shrink, and would skip pixels of one that shrinks alone.
    height, width = array.shape[:2]
    smaller = cv2.resize(array, (min(width, side), min(height, side)), interpolation=cv2.INTER_AREA)
    return cv2.resize(smaller, (side, side), interpolation=cv2.INTER_LINEAR)


def _composite(picture: Picture, filling: Samples, hole: Bools, *, opaque: bool) -> Picture:
    """Lay the filling into the hole. With `opaque`, transparency was the mask, and would hide the filling."""
    samples = picture.samples.copy()
    channels = picture.colours.shape[2]
    samples[hole, :channels] = filling if channels == 3 else np.rint(filling.mean(axis=1, keepdims=True))
    if opaque:
        samples[hole, -1] = np.iinfo(samples.dtype).max
    return picture.with_samples(samples)
