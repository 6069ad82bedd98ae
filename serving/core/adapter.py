"""Run any described graph under the graph contract: [0, 1] floats and 1 = known in, a composited image out."""

import logging
from dataclasses import replace

import numpy as np
import onnxruntime as ort

from serving.core.binding import Binding
from serving.core.errors import ModelFileError, ModelOutputError, TooManyPixelsError
from serving.core.graph import CHANNELS, IMAGE, MASK, VALUE_RANGE, Bools, Floats, Range, known_from_hole

logger = logging.getLogger(__name__)

_RANGES: tuple[Range, ...] = ((0.0, 1.0), (0.0, 255.0), (-1.0, 1.0))
"""The ranges that a measured output may have."""
_TOLERANCE = 0.1  # of a range, for a graph that returns known pixels only approximately


class Adapter:
    """A graph and its binding. Its methods are thread-safe."""

    def __init__(self, session: ort.InferenceSession, binding: Binding) -> None:
        self._session = session
        self._binding = binding
        self._identical = (
            binding.image.dtype == binding.mask.dtype == binding.output.dtype == "float32"
            and binding.image.range == binding.output.range == VALUE_RANGE
            and binding.image.order == binding.output.order == "RGB"
            and (binding.hole, binding.known) == (0.0, 1.0)
            and binding.composited
        )

    def in_session(self, session: ort.InferenceSession) -> "Adapter":
        """Return an adapter for the same graph, loaded in another session."""
        return Adapter(session, self._binding)

    def run(self, images: Floats, known: Floats) -> Floats:
        """Fill images.

        Args:
            images: [N,3,H,W] float32 in [0, 1], no larger than the graph's size if that is fixed.
            known: [N,1,H,W] float32, 1 = known, 0 = hole.

        Returns:
            [N,3,H,W] float32 in [0, 1], known pixels unchanged.

        Raises:
            ModelOutputError: the output contains NaN or infinity.
            TooManyPixelsError: the images are larger than the graph's fixed size.
        """
        output = self._run_graph(images, known)
        if self._identical:
            return output
        black, white = self._binding.output.range or VALUE_RANGE
        colours = np.clip((output.astype(np.float32) - np.float32(black)) / np.float32(white - black), 0, 1)
        if self._binding.output.order == "BGR":
            colours = colours[:, ::-1]
        return np.where(known > 0, images, colours)

    def check(self, side: int) -> None:
        """Run once on a test image, half black and half white, and check what becomes of its known pixels.

        They show whether the mask's polarity, the order of the inputs and the ranges are right. The range of an output
        whose description states none is measured.

        Args:
            side: height and width of the test image in pixels.

        Raises:
            ModelFileError: the known pixels show that the description does not fit the graph.
            ModelOutputError: the output contains NaN or infinity.
        """
        images = np.zeros((1, CHANNELS[IMAGE], side, side), np.float32)
        images[..., side // 2 :] = 1
        hole = np.zeros((1, CHANNELS[MASK], side, side), np.bool_)
        hole[:, :, side // 4 : side // 2, 3 * side // 8 : 5 * side // 8] = True
        output = self._run_graph(images, known_from_hole(hole))
        if output.shape != images.shape:
            raise ModelFileError(f"it outputs the shape {output.shape} instead of {images.shape}.")
        black, white = _medians(output, images, hole)
        found = f"known pixels that are black and white come back as {black:.3g} and {white:.3g}"
        binding = self._binding
        if binding.output.range is None:
            fitting = [candidate for candidate in _RANGES if _fits(candidate, black, white)]
            if not fitting:
                raise ModelFileError(
                    f"its {found}, which is none of the ranges [0, 1], [0, 255] and [-1, 1]: the mask's polarity "
                    f"(hole = {binding.hole:g} by the description '{binding.description}') may be wrong; if "
                    "it is right, state the output's range (docs/models.md)."
                )
            self._binding = replace(binding, output=replace(binding.output, range=fitting[0]))
        elif not _fits(binding.output.range, black, white):
            low, high = binding.output.range
            problem = (
                f"its {found} instead of {low:g} and {high:g}: the mask's polarity (hole = {binding.hole:g} by the "
                f"description '{binding.description}'), the order of the inputs or a range may be wrong "
                "(docs/models.md)."
            )
            if binding.composited:
                raise ModelFileError(problem)
            logger.warning("The model may be described incorrectly: %s", problem)

    def _run_graph(self, images: Floats, known: Floats) -> Floats:
        """Return the graph's own output, cropped to the images' size."""
        binding = self._binding
        height, width = images.shape[2:]
        images, known = self._padded(images, known)
        inputs = (images, known) if self._identical else self._converted(images, known)
        names = binding.image.name, binding.mask.name
        output = self._session.run([binding.output.name], dict(zip(names, inputs, strict=True)))[0]
        if not np.isfinite(output).all():
            raise ModelOutputError(
                "The model's output contains NaN or infinity: the file is damaged or was exported incorrectly."
            )
        return np.asarray(output[:, :, :height, :width])

    def _padded(self, images: Floats, known: Floats) -> tuple[Floats, Floats]:
        """Pad images at the bottom and right, with unknown pixels, to a size that the graph takes."""
        binding = self._binding
        size = images.shape[2], images.shape[3]
        if binding.fixed is not None:
            padded = binding.fixed
            if size[0] > padded[0] or size[1] > padded[1]:
                raise TooManyPixelsError(
                    f"The images have {size[1]}x{size[0]} pixels; the model takes at most {padded[1]}x{padded[0]}."
                )
        else:
            step = binding.multiple_of
            padded = _ceil(max(size[0], binding.min_size), step), _ceil(max(size[1], binding.min_size), step)
        if padded == size:
            return images, known
        widths = ((0, 0), (0, 0), (0, padded[0] - size[0]), (0, padded[1] - size[1]))
        return np.pad(images, widths), np.pad(known, widths)

    def _converted(self, images: Floats, known: Floats) -> tuple[np.ndarray, np.ndarray]:
        """Return images and masks in the graph's ranges and types; pixels in a hole are black."""
        binding = self._binding
        black, white = binding.image.range or VALUE_RANGE
        pixels = images * known * np.float32(white - black) + np.float32(black)
        if binding.image.order == "BGR":
            pixels = np.ascontiguousarray(pixels[:, ::-1])
        if binding.image.dtype == "uint8":
            pixels = np.rint(pixels)
        mask = np.where(known > 0, np.float32(binding.known), np.float32(binding.hole))
        return pixels.astype(binding.image.dtype), mask.astype(binding.mask.dtype)


def _medians(output: Floats, images: Floats, hole: Bools) -> tuple[float, float]:
    """Return the medians of the output where the image is known and black, and where it is known and white."""
    known = ~np.broadcast_to(hole, images.shape)
    black, white = (output[known & (images == value)] for value in VALUE_RANGE)
    return float(np.median(black)), float(np.median(white))


def _fits(value_range: Range, black: float, white: float) -> bool:
    tolerance = _TOLERANCE * abs(value_range[1] - value_range[0])
    return abs(black - value_range[0]) <= tolerance and abs(white - value_range[1]) <= tolerance


def _ceil(value: int, step: int) -> int:
    return -(-value // step) * step
