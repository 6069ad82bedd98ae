"""The contact sheet: input, masked, filled and truth, side by side, for people to look at."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw

if TYPE_CHECKING:
    from collections.abc import Sequence

    from training.masks import Mask
    from training.pictures import Image

COLUMNS = ("masked input", "filled", "truth", "difference x 4")
GAP, HEADER = 4, 16
MARK = np.uint8(255)
"""Grey of the hole in the masked picture."""


def contact_sheet(pictures: Sequence[tuple[Image, Mask, Image]]) -> bytes:
    """Draw one line per picture.

    Args:
        pictures: Truth (HWC uint8 RGB), mask (HW uint8, 255 = hole) and answer (HWC uint8 RGB), all of one size.

    Returns:
        A PNG.
    """
    height, width = pictures[0][0].shape[:2]
    size = (len(COLUMNS) * (width + GAP) - GAP, HEADER + len(pictures) * (height + GAP) - GAP)
    sheet = PillowImage.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    for column, title in enumerate(COLUMNS):
        draw.text((column * (width + GAP), 2), title, fill="black")
    for line, (truth, mask, answer) in enumerate(pictures):
        hole = mask[..., None] > 0
        filled = np.where(hole, answer, truth)
        difference = np.minimum(np.abs(filled.astype(int) - truth) * 4, 255).astype(np.uint8)
        for column, tile in enumerate((np.where(hole, MARK, truth), filled, truth, difference)):
            sheet.paste(PillowImage.fromarray(tile), (column * (width + GAP), HEADER + line * (height + GAP)))
    buffer = io.BytesIO()
    sheet.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()
