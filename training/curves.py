"""The loss curve, drawn beside the log as the report shows it."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from pathlib import Path

from matplotlib.figure import Figure

from training.files import write_atomically


def draw_curves(logs: Path, picture: Path) -> None:
    """Draw loss and validation PSNR over steps as a PNG.

    Args:
        logs: Folder of Lightning's CSV logs: one `version_N/metrics.csv` for each start of the run.
        picture: The PNG to write.
    """
    series: dict[str, dict[int, float]] = defaultdict(dict)
    for log in sorted(
        logs.glob("version_*/metrics.csv"), key=lambda path: int(path.parent.name.split("_")[1])
    ):
        whole_lines, _, _ = log.read_text(encoding="utf-8").rpartition(
            "\n"
        )  # a killed run may leave half a one
        for row in csv.DictReader(whole_lines.splitlines()):
            for name in ("train_loss", "val_loss", "val_psnr"):
                if row.get(name):
                    series[name][int(row["step"])] = float(row[name])
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, label in (("train_loss", "training"), ("val_loss", "validation")):
        if series[name]:
            left.plot(*zip(*sorted(series[name].items()), strict=True), label=label, linewidth=1)
    losses = [*series["train_loss"].values(), *series["val_loss"].values()]
    scale = "log" if min(losses, default=0) > 0 else "linear"  # a loss in dB is negative
    left.set(xlabel="step", ylabel="loss", yscale=scale)
    if left.has_data():
        left.legend()
    if series["val_psnr"]:
        right.plot(*zip(*sorted(series["val_psnr"].items()), strict=True), marker=".")
    right.set(xlabel="step", ylabel="validation PSNR (dB)")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    write_atomically(picture, buffer.getvalue())
