"""Make the page's sample: a scratched portrait, and the model's result.

The photo is NASA's portrait of Eileen Collins (public domain), included in scikit-image. From the repository's root:

    PYTHONPATH=. .venv/bin/python clients/web/scripts/sample.py
"""

import io
import itertools
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from skimage.data import astronaut

from serving.core.contract import FillRequest
from serving.core.pipeline import Pipeline
from serving.core.runtime import Runtime

FOLDER = Path(__file__).resolve().parent.parent / "src" / "lib" / "assets"
SCRATCHES = (
    # (points, width) on the photo of 512 x 512 pixels.
    (((136, 18), (188, 84), (216, 128), (246, 182), (262, 240), (300, 330), (316, 420)), 3),
    (((300, 70), (262, 104), (226, 150), (190, 176), (120, 196)), 2),
    (((20, 372), (110, 338), (190, 346), (282, 316), (352, 322)), 3),
    (((336, 30), (384, 96), (444, 150), (470, 236)), 2),
)
MARGIN = 3
STEP = 9.0
"""Pixels between the points of a scratch."""


def main() -> None:
    """Write `sample.webp` and `sample-filled.webp`."""
    random = np.random.default_rng(3)
    photo = np.asarray(astronaut(), np.uint8).copy()
    scratched = np.zeros(photo.shape[:2], np.uint8)
    for corners, width in SCRATCHES:
        line = jagged(np.asarray(corners, np.float64), random)
        for start, end in itertools.pairwise(line):
            thickness = max(1, width + int(random.integers(-1, 2)))
            cv2.line(scratched, *(tuple(map(int, p)) for p in (start, end)), 255, thickness, cv2.LINE_AA)
    share = scratched[..., None] / 255 * 0.92
    photo = np.round(photo * (1 - share) + np.array([250, 247, 238]) * share).astype(np.uint8)
    save(photo, "sample.webp")
    with Image.open(FOLDER / "sample.webp") as file:
        stored = np.asarray(file.convert("RGB"))
    brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * MARGIN + 1, 2 * MARGIN + 1))
    mask = np.where(cv2.dilate(scratched, brush) > 0, np.uint8(255), np.uint8(0))
    response = (
        Pipeline(Runtime(Path("models/inpaint.onnx"))).fill(FillRequest(png(stored), png(mask))).response
    )
    with Image.open(io.BytesIO(response.image)) as file:
        save(np.asarray(file.convert("RGB")), "sample-filled.webp")


def jagged(corners: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return points along the corners at small random offsets. Points are (x, y) in pixels."""
    points = []
    for start, end in itertools.pairwise(corners):
        count = int(np.hypot(*(end - start)) / STEP)
        points.extend(start + (end - start) * i / count + random.normal(0, 0.7, 2) for i in range(count))
    return np.round([*points, corners[-1]])


def png(pixels: np.ndarray) -> bytes:
    """Encode as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def save(pixels: np.ndarray, name: str) -> None:
    """Save as a small WebP file."""
    Image.fromarray(pixels).save(FOLDER / name, quality=84, method=6)


if __name__ == "__main__":
    main()
