"""The contact sheet of an evaluation, and the curves of a training run."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from PIL import Image as PillowImage
from PIL import ImageDraw

from training.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from training.masks import Mask
    from training.pictures import Image

COLUMNS = ("masked input", "filled", "truth", "difference x 4")
GAP, HEADER = 4, 16
FEW = 30
"""Curves of up to this many points get markers."""
MARK = np.uint8(255)
"""Grey value of the hole in the masked picture."""


def contact_sheet(pictures: Sequence[tuple[Image, Mask, Image]]) -> bytes:
    """Return `sheet` as a PNG."""
    buffer = io.BytesIO()
    PillowImage.fromarray(sheet(pictures)).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def sheet(pictures: Sequence[tuple[Image, Mask, Image]]) -> Image:
    """Draw one row per picture: masked input, filled, truth, difference.

    Args:
        pictures: Truth (HWC uint8 RGB), mask (HW uint8, 255 = hole) and filled picture (HWC uint8 RGB), all of one
            size.

    Returns:
        HWC uint8 RGB.
    """
    height, width = pictures[0][0].shape[:2]
    size = (len(COLUMNS) * (width + GAP) - GAP, HEADER + len(pictures) * (height + GAP) - GAP)
    paper = PillowImage.new("RGB", size, "white")
    draw = ImageDraw.Draw(paper)
    for column, title in enumerate(COLUMNS):
        draw.text((column * (width + GAP), 2), title, fill="black")
    for line, (truth, mask, answer) in enumerate(pictures):
        hole = mask[..., None] > 0
        filled = np.where(hole, answer, truth)
        difference = np.minimum(np.abs(filled.astype(int) - truth) * 4, 255).astype(np.uint8)
        for column, tile in enumerate((np.where(hole, MARK, truth), filled, truth, difference)):
            paper.paste(PillowImage.fromarray(tile), (column * (width + GAP), HEADER + line * (height + GAP)))
    return np.asarray(paper)


def draw_curves(logs: Path, picture: Path) -> None:
    """Draw loss and validation PSNR over steps as a PNG.

    Args:
        logs: Folder of Lightning's CSV logs, with one `version_N/metrics.csv` per start of the run.
        picture: The PNG to write.
    """
    series: dict[str, dict[int, float]] = defaultdict(dict)
    for log in sorted(
        logs.glob("version_*/metrics.csv"), key=lambda path: int(path.parent.name.split("_")[1])
    ):
        whole_lines, _, _ = log.read_text(encoding="utf-8").rpartition(
            "\n"
        )  # a killed run may leave half a line
        for row in csv.DictReader(whole_lines.splitlines()):
            for name in ("train_loss", "val_loss", "val_psnr"):
                if row.get(name):
                    series[name][int(row["step"])] = float(row[name])
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, label in (("train_loss", "training"), ("val_loss", "validation")):
        if series[name]:
            marker = "." if len(series[name]) <= FEW else None  # a line through one point is invisible
            left.plot(
                *zip(*sorted(series[name].items()), strict=True), label=label, linewidth=1, marker=marker
            )
    losses = [*series["train_loss"].values(), *series["val_loss"].values()]
    scale = "log" if min(losses, default=0) > 0 else "linear"  # a loss in dB is negative
    left.set(xlabel="step", ylabel="loss", yscale=scale)
    if left.has_data():
        left.legend()
    if series["val_psnr"]:
        right.plot(*zip(*sorted(series["val_psnr"].items()), strict=True), marker=".")
    right.set(xlabel="step", ylabel="validation PSNR (dB)")
    for axes in (left, right):
        axes.xaxis.get_major_locator().set_params(integer=True)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    write_atomically(picture, buffer.getvalue())
