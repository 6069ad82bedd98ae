"""Marks drawn on pictures, for a network that finds them: scratches, dust, pen strokes and lines, with soft edges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from training.pictures import Image

MarkKind = Literal["scratches", "pen", "lines", "dust"]
MARK_KINDS: tuple[MarkKind, ...] = get_args(MarkKind)

_FRACTION_BITS = 4  # of OpenCV's coordinates
_LEAST_OPACITY = 0.25  # below this, a pixel does not count as marked


class MarkedPicture:
    """A picture on which marks are drawn.

    Attributes:
        marks: HW bool, True where a mark was drawn.
    """

    def __init__(self, image: Image) -> None:
        self._height, self._width = image.shape[:2]
        self.marks: NDArray[np.bool_] = np.zeros((self._height, self._width), bool)
        self._samples = image.astype(np.float32)

    @property
    def image(self) -> Image:
        """The picture with its marks, HWC uint8 RGB."""
        return np.clip(np.rint(self._samples), 0, 255).astype(np.uint8)

    def draw(self, kind: MarkKind, random: np.random.Generator) -> None:
        """Draw a few marks of one kind, with widths in proportion to the picture's shorter side."""
        side = min(self._height, self._width)
        if kind == "dust":
            self._blend(self._specks(random, side), _light_or_dark(random), random.uniform(0.7, 1))
        elif kind == "scratches":
            for _ in range(random.integers(2, 6)):
                colour = _colour(random) if random.random() < 0.3 else _light_or_dark(random)
                self._stroke(
                    self._curve(random, 0.02),
                    side * random.uniform(0.003, 0.012),
                    colour,
                    random.uniform(0.7, 1),
                )
        elif kind == "pen":
            for _ in range(random.integers(1, 4)):
                width = max(1.5, side * random.uniform(0.008, 0.025))
                self._stroke(self._curve(random, 0.2), width, _colour(random), random.uniform(0.85, 1))
        else:
            for _ in range(random.integers(3, 8)):
                ends = random.random((2, 2)) * (self._width, self._height)
                self._stroke(ends, side * random.uniform(0.006, 0.06), _colour(random), 1)

    def _curve(self, random: np.random.Generator, bend: float) -> NDArray[np.float64]:
        """Return the points of a cubic Bézier curve, (x, y) in pixels; `bend` is relative to its length."""
        angle, length = (
            random.uniform(0, 2 * np.pi),
            random.uniform(0.3, 0.9) * min(self._height, self._width),
        )
        start = random.random(2) * (self._width, self._height)
        span = length * np.array([np.cos(angle), np.sin(angle)])
        inner = (start + span * share + random.normal(0, bend * length, 2) for share in (1 / 3, 2 / 3))
        a, b, c, d = start, *inner, start + span
        t = np.linspace(0, 1, 60)[:, np.newaxis]
        curve: NDArray[np.float64] = (
            (1 - t) ** 3 * a + 3 * (1 - t) ** 2 * t * b + 3 * (1 - t) * t**2 * c + t**3 * d
        )
        return curve

    def _stroke(
        self, points: NDArray[np.float64], width: float, colour: NDArray[np.float32], opacity: float
    ) -> None:
        drawn = np.zeros(self.marks.shape, np.uint8)
        fixed = (points * (1 << _FRACTION_BITS)).astype(np.int32)
        cv2.polylines(drawn, [fixed], False, 255, max(1, round(width)), cv2.LINE_AA, _FRACTION_BITS)
        self._blend(drawn, colour, opacity)

    def _specks(self, random: np.random.Generator, side: int) -> NDArray[np.uint8]:
        drawn = np.zeros(self.marks.shape, np.uint8)
        unit = 1 << _FRACTION_BITS
        for _ in range(random.integers(15, 50)):
            x, y = random.random(2) * (self._width, self._height)
            radii = (max(0.7, side * random.uniform(0.002, longest)) for longest in (0.008, 0.006))
            axes = tuple(int(unit * radius) for radius in radii)
            angle = random.uniform(0, 180)
            centre = int(x * unit), int(y * unit)
            cv2.ellipse(drawn, centre, axes, angle, 0, 360, 255, -1, cv2.LINE_AA, _FRACTION_BITS)
        return drawn

    def _blend(self, drawn: NDArray[np.uint8], colour: NDArray[np.float32], opacity: float) -> None:
        left, top, width, height = cv2.boundingRect(drawn)
        part = np.s_[top : top + height, left : left + width]
        alpha = drawn[part] * np.float32(opacity / 255)
        self._samples[part] += (colour - self._samples[part]) * alpha[:, :, np.newaxis]
        self.marks[part] |= alpha > _LEAST_OPACITY


def _light_or_dark(random: np.random.Generator) -> NDArray[np.float32]:
    grey = random.integers(200, 256) if random.random() < 0.7 else random.integers(0, 50)
    return np.full(3, grey, np.float32)


def _colour(random: np.random.Generator) -> NDArray[np.float32]:
    """Return a strong colour in half of the cases, otherwise a light or a dark grey; RGB in [0, 255]."""
    if random.random() < 0.5:
        return _light_or_dark(random)
    hsv = np.array([[[random.integers(180), random.integers(150, 256), random.integers(120, 256)]]], np.uint8)
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0], np.float32)
