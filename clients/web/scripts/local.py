"""Write the constants and the test vectors that `src/lib/local/` shares with `serving/core`.

From the repository root, with its environment:

    PYTHONPATH=. .venv/bin/python clients/web/scripts/local.py
"""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from serving.core import marks, pyramid, tiling
from serving.core.graph import MIN_SIZE, MODEL_SIZE, Bools, Floats
from serving.core.pipeline import DEFAULT_MAX_PIXELS

WEB = Path(__file__).parent.parent
CONSTANTS = WEB / "src/lib/local/constants.json"
VECTORS = WEB / "tests/unit/local-vectors.json"

SIZES = [(178, 178), (151, 267), (300, 268), (431, 600)]
HOLES = ("disc", "lines", "both")
LIMITS = (pyramid.THICK / 4, (pyramid.THICK / 2 - pyramid.RIM) / 2)
"""The distances that decide at which scale a pixel is filled, in pixels."""
SEARCHES = [((37, 52), (21, 30)), ((48, 40), (24, 20)), ((31, 30), (30, 29))]
"""Sizes of photos, and the sizes to which they are reduced for the search: height, width."""


def constants() -> dict[str, float]:
    """Return the constants of `serving.core.pyramid`, `tiling` and `marks`, and the limits."""
    return {
        "MODEL_SIZE": MODEL_SIZE,
        "MIN_SIZE": MIN_SIZE,
        "MAX_PIXELS": DEFAULT_MAX_PIXELS,
        "WHOLE": pyramid.WHOLE,
        "THICK": pyramid.THICK,
        "RIM": pyramid.RIM,
        "MERGE": tiling.MERGE,
        "CONTEXT": tiling.CONTEXT,
        "EDGE": tiling.EDGE,
        "RAMP": tiling.RAMP,
        "MARKS_MAX_PIXELS": marks.MAX_PIXELS,
        "MARKS_STRICTEST": marks._STRICTEST,
        "MARKS_LOOSEST": marks._LOOSEST,
    }


def image(height: int, width: int) -> NDArray[np.uint8]:
    """Return an image that the TypeScript tests can easily compute, too: HW3 uint8."""
    y, x, channel = np.ogrid[:height, :width, :3]
    return np.asarray((x * x * 3 + y * 7 + x * y + channel * 50) // 16 % 256, np.uint8)


def hole(height: int, width: int, kind: str) -> Bools:
    """Return a hole: a disc too wide for one scale, thin lines, or both. HW."""
    y, x = np.ogrid[:height, :width]
    disc = (x - width // 2) ** 2 + (y - height // 3) ** 2 < (min(height, width) // 4) ** 2
    lines = ((x - y) % 190 < 3) | ((x + 2 * y) % 310 < 2)
    return np.asarray({"disc": disc, "lines": lines, "both": disc | lines}[kind])


def stand_in(images: Floats, known: Floats) -> Floats:
    """Fill windows with a pattern that depends on the position in the window and on its first pixel."""
    y, x = np.ogrid[: images.shape[2], : images.shape[3]]
    pattern = ((x * 5 + y * 3) % 64).astype(np.float32) / np.float32(64)
    first = (images * known)[:, :, :1, :1]
    return np.asarray(np.where(known > 0, images, (pattern + first) / np.float32(2)), np.float32)


def digest(array: NDArray[Any]) -> str:
    """Return the SHA-256 of an array's bytes."""
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def vectors() -> dict[str, list[dict[str, Any]]]:
    """Return the results of OpenCV and `serving.core` for the images and holes above."""
    model = tiling.Model(stand_in, MODEL_SIZE)
    pieces, fills = [], []
    for height, width in SIZES:
        size = {"height": height, "width": width}
        picture, gap = image(height, width), hole(height, width, "both")
        area = gap.view(np.uint8)
        distance = cv2.distanceTransform(area, cv2.DIST_L2, cv2.DIST_MASK_5)
        canvas = np.where(gap[:, :, np.newaxis], np.uint8(0), picture)
        doubled = cv2.resize(picture, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR)
        pieces.append(
            size
            | {
                # OpenCV's distances differ by a few millionths between its builds.
                "further": [digest(distance > limit) for limit in LIMITS],
                "dilated": digest(cv2.dilate(area, np.ones((3, 3), np.uint8))),
                "halved": digest(pyramid._halved(canvas, gap)),
                "doubled": digest(doubled),
            }
        )
        for kind in HOLES:
            filled = pyramid.fill_holes(picture, hole(height, width, kind), model)
            fills.append(size | {"hole": kind, "filled": digest(filled)})
    return {"pieces": pieces, "fills": fills, "searches": searches()}


def searches() -> list[dict[str, Any]]:
    """Return OpenCV's results of reducing images for a search and enlarging the areas found."""
    found = []
    for (height, width), (rows, columns) in SEARCHES:
        reduced = cv2.resize(image(height, width), (columns, rows), interpolation=cv2.INTER_AREA)
        area = hole(rows, columns, "both").view(np.uint8)
        enlarged = cv2.resize(area, (width, height), interpolation=cv2.INTER_NEAREST)
        size = {"height": height, "width": width, "rows": rows, "columns": columns}
        found.append(size | {"reduced": base64.b64encode(reduced).decode(), "enlarged": digest(enlarged)})
    return found


def text(content: object) -> str:
    """Return the text of a JSON file."""
    return json.dumps(content, indent="\t") + "\n"


if __name__ == "__main__":
    CONSTANTS.write_text(text(constants()))
    VECTORS.write_text(text(vectors()))
