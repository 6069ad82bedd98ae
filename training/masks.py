"""Hole masks: straight lines, free-form strokes, fine marks all over the picture, and facial features.

Every function draws an 8-bit mask with 255 = hole and 0 = known, the convention of the project's public interfaces,
and takes all randomness from the given generator, so that a seed reproduces a mask exactly.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.uint8]
Floats = NDArray[np.float64]
DrawMask = Callable[[np.random.Generator, int, int], Mask]
"""Draws a mask: function of (generator, height, width)."""

REPORT_LINES: Final = 7
REPORT_THICKNESS: Final = (7, 12)
"""Bounds for `randint`; the upper one is excluded."""

HOLE_RATIOS: Final = (0.01, 0.6)
"""Minimum and maximum share of hole pixels of a free-form mask."""

ALIGNED_SIDE: Final = 178
"""Side of the central square of an aligned CelebA picture, the coordinate system of `FEATURES`."""

FEATURES: Final[dict[str, tuple[tuple[float, float, float, float], ...]]] = {
    "eye on the left": ((69, 91, 15, 10),),
    "eye on the right": ((107, 91, 15, 10),),
    "both eyes": ((69, 91, 15, 10), (107, 91, 15, 10)),
    "eyes as a band": ((88, 90, 36, 12),),
    "brow and eye on the left": ((69, 85, 18, 18),),
    "brow and eye on the right": ((107, 85, 18, 18),),
    "nose": ((88, 110, 13, 18),),
    "mouth": ((88, 133, 22, 11),),
    "nose and mouth": ((88, 122, 22, 24),),
    "left half of the face": ((64, 108, 24, 46),),
    "right half of the face": ((112, 108, 24, 46),),
    "lower half of the face": ((88, 130, 40, 26),),
    "glasses": (),
}
"""Features by name: the centre (x, y) and the half width and half height of each part, in pixels."""
_FEATURE_SHARES: Final = np.array([3, 3, 2, 2, 2, 2, 2, 4, 1, 1, 1, 1, 2]) / 26


def draw_lines(
    rng: np.random.Generator, height: int, width: int, thickness: tuple[int, int], lines: int = REPORT_LINES
) -> Mask:
    """Draw straight lines between random end points.

    Args:
        rng: Source of all randomness.
        height: Rows of the mask, in pixels.
        width: Columns of the mask, in pixels.
        thickness: Line thickness in pixels, lower bound included, upper bound excluded.
        lines: Number of lines.

    Returns:
        HW uint8, 255 = hole, 0 = known.
    """
    mask = np.zeros((height, width), np.uint8)
    for _ in range(lines):
        (x1, x2), (y1, y2) = rng.integers(0, width, 2), rng.integers(0, height, 2)
        cv2.line(mask, (int(x1), int(y1)), (int(x2), int(y2)), 255, int(rng.integers(*thickness)))
    return mask


def report_text(rng: np.random.Generator, height: int, width: int) -> Mask:
    """Draw seven lines of 7 to 11 pixels, as the text of the report's section on masks says. HW uint8, 255 = hole."""
    return draw_lines(rng, height, width, REPORT_THICKNESS)


def report_code(rng: np.random.Generator, height: int, width: int) -> Mask:
    """Draw seven lines of 1 to 11 pixels, as that section's listing does (`randint(min(1, lo), hi)`)."""
    low, high = REPORT_THICKNESS
    return draw_lines(rng, height, width, (min(1, low), high))


def free_form(rng: np.random.Generator, height: int, width: int, ratio: float | None = None) -> Mask:
    """Draw wandering brush strokes until about `ratio` of the picture is a hole.

    Strokes are polylines with round joints, as in the free-form masks of Yu et al. (2019), of a width between
    2 % and 13 % of the shorter side. If a stroke overshoots the target, it is undone and a thinner one is tried.

    Args:
        rng: Source of all randomness.
        height: Rows of the mask, in pixels.
        width: Columns of the mask, in pixels.
        ratio: Target share of hole pixels in [0.01, 0.6]; drawn uniformly from that range if None.

    Returns:
        HW uint8, 255 = hole, 0 = known; the share of hole pixels is within 0.03 of the target
        for pictures of at least 64×64.

    Raises:
        ValueError: `ratio` is outside [0.01, 0.6].
    """
    least, greatest = HOLE_RATIOS
    target = rng.uniform(least, greatest) if ratio is None else ratio
    if not least <= target <= greatest:
        raise ValueError(f"the hole ratio must be between {least} and {greatest}, not {ratio}")
    side = min(height, width)
    mask = np.zeros((height, width), np.uint8)
    tolerance = max(0.005 * height * width, 1.0)
    missing = target * height * width
    widest = 0.13 * side
    while missing > tolerance:
        stroke = mask.copy()
        _draw_stroke(rng, stroke, side, widest)
        left = target * height * width - int(np.count_nonzero(stroke))
        if left < -tolerance:
            widest = max(widest * 0.7, 1.0)
            if widest == 1.0:
                break
            continue
        mask, missing = stroke, left
    return mask


def _draw_stroke(rng: np.random.Generator, mask: Mask, side: int, widest: float) -> None:
    height, width = mask.shape
    thickness = max(1, round(rng.uniform(min(0.02 * side, widest), widest)))
    x, y = rng.uniform(0, width), rng.uniform(0, height)
    angle = rng.uniform(0, 2 * math.pi)
    for _ in range(int(rng.integers(1, 7))):
        angle += rng.normal(0.0, 0.9)
        length = rng.uniform(0.05, 0.3) * side * min(1.0, widest / (0.04 * side))
        nx = float(np.clip(x + length * math.cos(angle), 0, width - 1))
        ny = float(np.clip(y + length * math.sin(angle), 0, height - 1))
        cv2.line(mask, (round(x), round(y)), (round(nx), round(ny)), 255, thickness)
        cv2.circle(mask, (round(nx), round(ny)), thickness // 2, 255, -1)
        x, y = nx, ny


def fine(rng: np.random.Generator, height: int, width: int) -> Mask:
    """Draw dust, a mesh or text over the whole picture, with equal probability: marks of 1 to 4 pixels.

    HW uint8, 255 = hole. Every hole pixel is near a known one; pictures of at least 64×64 have both.
    """
    draw = (_dust, _mesh, _lettering)[rng.integers(3)]
    return draw(rng, height, width)


def _dust(rng: np.random.Generator, height: int, width: int) -> Mask:
    diameter = int(rng.integers(1, 4))
    grains = rng.random((height, width)) < rng.uniform(0.02, 0.6) / diameter**2
    shape = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (diameter, diameter))
    return np.asarray(cv2.dilate(grains.astype(np.uint8) * 255, shape), np.uint8)


def _mesh(rng: np.random.Generator, height: int, width: int) -> Mask:
    thickness = int(rng.integers(1, 5))
    period = thickness * rng.uniform(2, 6)
    angle = rng.uniform(0, math.pi)
    y, x = np.mgrid[:height, :width]
    along, across = (x * math.cos(a) + y * math.sin(a) for a in (angle, angle + math.pi / 2))
    mask = (along + rng.uniform(0, period)) % period < thickness
    if rng.random() < 0.5:
        mask |= (across + rng.uniform(0, period)) % period < thickness
    return np.where(mask, 255, 0).astype(np.uint8)


def _lettering(rng: np.random.Generator, height: int, width: int) -> Mask:
    mask = np.zeros((height, width), np.uint8)
    thickness, scale = int(rng.integers(1, 4)), rng.uniform(0.3, 1.0)
    font = int(
        rng.choice([cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_COMPLEX, cv2.FONT_HERSHEY_SCRIPT_SIMPLEX])
    )
    spacing = 22 * scale * rng.uniform(1.2, 3)  # capitals are 22 pixels high at scale 1
    for line in range(math.ceil(height / spacing)):
        words = "".join(chr(letter) for letter in rng.integers(ord("!"), ord("~"), 80))
        origin = (-int(rng.integers(20)), round((line + rng.uniform(0.8, 1)) * spacing))
        cv2.putText(mask, words, origin, font, scale, 255, thickness)
    return np.where(mask >= 128, 255, 0).astype(np.uint8)  # OpenCV antialiases the edges


def features(rng: np.random.Generator, height: int, width: int) -> Mask:
    """Cover a feature of an aligned face: eyes, brows, nose, mouth, glasses or half of the face.

    Shapes are ellipses, boxes and scribbles of varied size at the feature's position in the central square of aligned
    CelebA; one in four is moved to a random position instead.

    Args:
        rng: Source of all randomness.
        height: Rows of the mask, in pixels.
        width: Columns of the mask, in pixels.

    Returns:
        HW uint8, 255 = hole, 0 = known.
    """
    mask = np.zeros((height, width), np.uint8)
    scale = min(height, width) / ALIGNED_SIDE
    offset = np.array([(width - ALIGNED_SIDE * scale) / 2, (height - ALIGNED_SIDE * scale) / 2])
    if rng.random() < 0.25:
        offset += rng.uniform(-0.3, 0.3, 2) * ALIGNED_SIDE * scale
    names = list(FEATURES)
    name = names[rng.choice(len(names), p=_FEATURE_SHARES)]
    if name == "glasses":
        _draw_glasses(rng, mask, scale, offset)
    else:
        draw = (_draw_ellipse, _draw_box, _draw_scribble)[rng.integers(3)]
        for x, y, across, down in FEATURES[name]:
            centre = (np.array([x, y]) + rng.normal(0, 4, 2)) * scale + offset
            draw(rng, mask, centre, np.array([across, down]) * rng.uniform(0.8, 1.6, 2) * scale)
    return mask if mask.any() else features(rng, height, width)  # the shape may be outside the picture


def _draw_ellipse(rng: np.random.Generator, mask: Mask, centre: Floats, radii: Floats) -> None:
    """Draw a filled ellipse, tilted by up to 20 degrees."""
    box = (_point(centre), _point(2 * radii), float(rng.uniform(-20, 20)))
    cv2.ellipse(mask, box, 255, -1)


def _draw_box(rng: np.random.Generator, mask: Mask, centre: Floats, radii: Floats) -> None:
    """Draw a filled rectangle, tilted by up to 10 degrees."""
    corners = cv2.boxPoints((_point(centre), _point(2 * radii), float(rng.uniform(-10, 10))))
    cv2.fillPoly(mask, [np.rint(corners).astype(np.int32)], 255)


def _draw_scribble(rng: np.random.Generator, mask: Mask, centre: Floats, radii: Floats) -> None:
    """Draw one brush stroke back and forth over an area, as a person would."""
    turns = int(rng.integers(3, 9))
    brush = max(2, round(rng.uniform(0.3, 0.9) * 2 * radii.min()))
    x = np.where(np.arange(turns) % 2, 1, -1) * rng.uniform(0.7, 1.1, turns) * radii[0]
    y = np.linspace(-1, 1, turns) * radii[1] + rng.normal(0, 0.15, turns) * radii[1]
    line = centre + np.stack([x, y], 1)
    cv2.polylines(mask, [np.rint(line).astype(np.int32)], False, 255, brush)


def _draw_glasses(rng: np.random.Generator, mask: Mask, scale: float, offset: Floats) -> None:
    """Draw the frame of a pair of glasses; one pair in three has dark lenses, which are part of the hole."""
    thickness = max(1, round(rng.uniform(2, 7) * scale))
    filled = rng.random() < 1 / 3
    radii = rng.uniform((14, 9), (21, 17)) * scale
    shift = rng.normal(0, 3, 2)
    centres = [(np.array([x, y]) + shift) * scale + offset for x, y, *_ in FEATURES["both eyes"]]
    is_round = rng.random() < 0.5
    for centre in centres:
        if is_round:
            cv2.ellipse(mask, (_point(centre), _point(2 * radii), 0.0), 255, -1 if filled else thickness)
        else:
            low, high = np.rint(centre - radii).astype(int), np.rint(centre + radii).astype(int)
            cv2.rectangle(mask, tuple(low), tuple(high), 255, -1 if filled else thickness)
    (left, right), out = centres, np.array([radii[0], 0.0])
    temple = np.array([rng.uniform(10, 40) * scale, 0.0])
    for start, end in (
        (left + out, right - out),
        (left - out - temple, left - out),
        (right + out, right + out + temple),
    ):
        cv2.line(mask, _pixel(start), _pixel(end), 255, thickness)


def _point(xy: Floats) -> tuple[float, float]:
    return float(xy[0]), float(xy[1])


def _pixel(xy: Floats) -> tuple[int, int]:
    return round(float(xy[0])), round(float(xy[1]))


PRESETS: Final[dict[str, DrawMask]] = {
    "report-text": report_text,
    "report-code": report_code,
    "free-form": free_form,
    "fine": fine,
    "features": features,
}
"""Mask presets by name."""

ALIGNED: Final = frozenset({"features"})
"""Presets whose holes lie on the features of an aligned face: when a picture is warped, they are warped with it."""
