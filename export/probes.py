"""Inputs of the parity check: pictures with thin lines, solid holes, border holes, odd sizes and batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from export.graph_inputs import graph_inputs
from serving.core.graph import IMAGE, MASK, MODEL_SIZE
from training.errors import DataError
from training.masks import PRESETS, Mask, free_form
from training.pictures import Image, load_picture

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

BATCH = 5
"""Default number of pictures of a probe."""


@dataclass(frozen=True)
class Probe:
    """Inputs of the graph, and the expected pictures.

    Attributes:
        name: What it tests.
        image: N3HW float32 in [0, 1]; holes contain noise, which must have no effect.
        mask: N1HW float32, 1 = known, 0 = hole.
        truth: NHWC uint8, the pictures without holes.
        judges_quality: Whether it has enough pictures to measure the loss of PSNR.
    """

    name: str
    image: NDArray[np.float32]
    mask: NDArray[np.float32]
    truth: NDArray[np.uint8]
    judges_quality: bool = False

    def first(self, count: int | None) -> Probe:
        """Return a probe of only the first `count` pictures, too few to measure the loss of PSNR; itself if None."""
        if count is None:
            return self
        return Probe(self.name, self.image[:count], self.mask[:count], self.truth[:count])


def probes_of(files: Sequence[Path], seed: int = 0) -> list[Probe]:
    """Build all probes from some pictures; the mask presets are applied to all of them, other masks to the first five.

    Raises:
        DataError: There are fewer than five pictures, or one cannot be read.
    """
    if len(files) < BATCH:
        raise DataError(f"the parity check needs at least {BATCH} pictures, not {len(files)}")
    pictures = [load_picture(file) for file in files]
    some, size = pictures[:BATCH], (MODEL_SIZE, MODEL_SIZE)
    probes = []
    for name, draw in PRESETS.items():
        masks = [draw(np.random.default_rng([seed, i]), *size) for i in range(len(pictures))]
        probes.append(_probe(name, pictures, masks, judges_quality=True))
    probes.append(
        _probe(
            "one picture alone", pictures[:1], [PRESETS["report-text"](np.random.default_rng(seed), *size)]
        )
    )
    for share in (0.1, 0.3, 0.6):
        probes.append(_probe(f"solid hole, {share:.0%}", some, [_solid(size, share)] * len(some)))
    dense = [free_form(np.random.default_rng([seed, i]), *size, ratio=0.6) for i in range(len(some))]
    probes.append(_probe("strokes, 60%", some, dense))
    probes.append(_probe("empty mask", some, [np.zeros(size, np.uint8)] * len(some)))
    probes.append(_probe("holes along the border", some, [_border(size)] * len(some)))
    probes.append(_probe("holes in the corners", some, [_corners(size)] * len(some)))
    for height, width in ((32, 32), (33, 47), (101, 200), (178, 218), (255, 177)):
        resized = [cv2.resize(p, (width, height), interpolation=cv2.INTER_AREA) for p in some]
        masks = [
            free_form(np.random.default_rng([seed, i]), height, width, ratio=0.3) for i in range(len(some))
        ]
        probes.append(_probe(f"{width}x{height}", [np.asarray(p, np.uint8) for p in resized], masks))
    return probes


def _probe(name: str, pictures: list[Image], masks: list[Mask], *, judges_quality: bool = False) -> Probe:
    truth, holes = np.stack(pictures), np.stack(masks)
    noise = np.random.default_rng(len(name)).integers(0, 256, truth.shape, dtype=np.uint8)
    inputs = graph_inputs(np.where(holes[..., None] > 0, noise, truth), holes)
    return Probe(name, inputs[IMAGE], inputs[MASK], truth, judges_quality)


def _solid(size: tuple[int, int], share: float) -> Mask:
    """Draw one centred rectangle that covers `share` of the picture."""
    height, width = (round(side * share**0.5) for side in size)
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    mask = np.zeros(size, np.uint8)
    mask[top : top + height, left : left + width] = 255
    return mask


def _border(size: tuple[int, int], thickness: int = 12) -> Mask:
    mask = np.full(size, 255, np.uint8)
    mask[thickness:-thickness, thickness:-thickness] = 0
    return mask


def _corners(size: tuple[int, int], side: int = 40) -> Mask:
    mask = np.zeros(size, np.uint8)
    mask[:side, :side] = mask[:side, -side:] = mask[-side:, :side] = mask[-side:, -side:] = 255
    return mask
