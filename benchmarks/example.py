"""`python -m benchmarks.example`: the README's picture, filled by the model that is served."""

from __future__ import annotations

import argparse
import io
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from PIL import Image, ImageDraw

from benchmarks.sample import Picture, png, portrait
from serving.core.contract import FillRequest
from serving.core.pipeline import Pipeline
from serving.core.runtime import Runtime

SCRATCHES: Final = (
    # (points, width, colour): on a photo of 512 x 512 pixels.
    (((150, 60), (205, 110), (240, 170), (300, 215)), 5, (245, 240, 230)),
    (((285, 55), (262, 105), (250, 160), (205, 230)), 4, (240, 238, 232)),
    (((60, 300), (140, 330), (260, 320), (330, 370), (420, 350)), 6, (200, 30, 40)),
    (((330, 40), (420, 120), (480, 260)), 5, (20, 40, 120)),
)
WATERMARK: Final = ("SAMPLE", (120, 470), 2.6, 6)
MARGIN: Final = 3
"""Pixels that a person paints beyond a mark's edge."""
GAP: Final = 8


def damaged() -> tuple[Picture, Picture]:
    """Return the photo with marks on it, HWC uint8 RGB, and the mask of the marks, HW uint8 with 255 = hole."""
    clean = portrait()
    photo = clean.copy()
    for points, width, colour in SCRATCHES:
        cv2.polylines(photo, [np.asarray(points, np.int32)], False, colour, width, cv2.LINE_AA)
    text, origin, scale, width = WATERMARK
    shade = photo.copy()
    cv2.putText(shade, text, origin, cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), width, cv2.LINE_AA)
    photo = np.asarray(cv2.addWeighted(shade, 0.6, photo, 0.4, 0), np.uint8)
    changed = np.any(photo != clean, axis=2).astype(np.uint8) * np.uint8(255)
    brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * MARGIN + 1, 2 * MARGIN + 1))
    return photo, np.asarray(cv2.dilate(changed, brush), np.uint8)


def main() -> None:
    """Write `scratched.png`, `mask.png` and the three side by side, `example.webp`."""
    parser = argparse.ArgumentParser("python -m benchmarks.example", description=__doc__)
    parser.add_argument("--model", type=Path, default=Path("models/inpaint.onnx"), help="the ONNX model")
    parser.add_argument("--output", type=Path, default=Path("docs"), help="folder of the pictures")
    options = parser.parse_args()
    photo, mask = damaged()
    pipeline = Pipeline(Runtime(options.model))
    response = pipeline.fill(FillRequest(png(photo), png(mask))).response
    filled = np.asarray(Image.open(io.BytesIO(response.image)))
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "scratched.png").write_bytes(png(photo))
    (options.output / "mask.png").write_bytes(png(mask))
    _beside(photo, np.where(mask[..., None] > 0, np.uint8(255), photo), filled).save(
        options.output / "example.webp", quality=90, method=6
    )


def _beside(*pictures: Picture) -> Image.Image:
    height, width = pictures[0].shape[:2]
    strip = Image.new("RGB", (len(pictures) * (width + GAP) - GAP, height), "white")
    draw = ImageDraw.Draw(strip)
    for column, (picture, title) in enumerate(
        zip(pictures, ("photo", "photo and mask", "answer"), strict=True)
    ):
        left = column * (width + GAP)
        strip.paste(Image.fromarray(picture), (left, 0))
        draw.text((left + 8, 6), title, fill="white", stroke_width=2, stroke_fill="black", font_size=18)
    return strip


if __name__ == "__main__":
    main()
