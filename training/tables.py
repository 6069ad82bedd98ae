"""Quality figures: one row per picture and method, and their summary by mask preset and hole ratio."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, median
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

BUCKETS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
"""Edges of the hole-ratio buckets, as in Liu et al."""

PERFECT = 100.0
"""Value of a perfect answer in a mean PSNR, in dB: above that of an answer off by one grey level in one sample."""

METRICS: Final = {
    "psnr": ("PSNR (dB), mean", "{:.2f}", max),
    "hole_psnr": ("PSNR inside the hole (dB), mean", "{:.2f}", max),
    "ssim": ("SSIM, mean", "{:.3f}", max),
    "l1": ("L1 on the scale [0, 1], mean", "{:.4f}", min),
    "stlpips": ("ST-LPIPS ({}), mean: perceptual distance, lower is better", "{:.4f}", min),
    "sharpness": ("Sharpness, median: gradient energy in the hole over the truth's", "{:.2f}", None),
}
"""Each figure's title, its format, and which of several values is best."""


@dataclass(frozen=True)
class Figures:
    """The quality of one method's answer to one picture under one mask.

    Attributes:
        picture: The file's name.
        preset: The mask preset.
        hole_ratio: Share of hole pixels in [0, 1].
        method: The method's name.
        psnr: In dB; infinite for a perfect answer.
        hole_psnr: The same over the hole's pixels alone.
        ssim: In [-1, 1].
        l1: Mean absolute difference on the scale [0, 1].
        sharpness: Gradient energy in the hole over the truth's; infinite where the truth alone is flat.
        stlpips: Perceptual distance, at least 0; None where it was not measured.
    """

    picture: str
    preset: str
    hole_ratio: float
    method: str
    psnr: float
    hole_psnr: float
    ssim: float
    l1: float
    sharpness: float
    stlpips: float | None


@dataclass(frozen=True)
class Summary:
    """Means over the pictures of one preset and bucket; `bucket` "all" is the whole preset.

    `sharpness` is the median, because a truth that is nearly flat makes the ratio arbitrarily large. `stlpips` is the
    mean over the pictures that it was measured on; None where there are none.
    """

    preset: str
    bucket: str
    method: str
    pictures: int
    hole_ratio: float
    psnr: float
    hole_psnr: float
    ssim: float
    l1: float
    sharpness: float
    stlpips: float | None


def bucket(hole_ratio: float) -> str:
    """Return the name of the bucket that a hole ratio falls into, "60-100 %" beyond the last edge."""
    for low, high in pairwise(BUCKETS):
        if hole_ratio < high:
            return f"{low * 100:.0f}-{high * 100:.0f} %"
    return f"{BUCKETS[-1] * 100:.0f}-100 %"


def summarise(rows: list[Figures]) -> list[Summary]:
    """Summarise by preset, bucket and method: presets and methods in order of appearance, "all" before the buckets."""
    groups: dict[tuple[str, str, str], list[Figures]] = defaultdict(list)
    for row in rows:
        groups[row.preset, "all", row.method].append(row)
    for row in sorted(rows, key=lambda row: row.hole_ratio):
        groups[row.preset, bucket(row.hole_ratio), row.method].append(row)
    presets = list(dict.fromkeys(row.preset for row in rows))
    ordered = sorted(groups.items(), key=lambda item: presets.index(item[0][0]))
    return [
        Summary(
            *key,
            len(group),
            hole_ratio=fmean(row.hole_ratio for row in group),
            psnr=fmean(min(row.psnr, PERFECT) for row in group),
            hole_psnr=fmean(min(row.hole_psnr, PERFECT) for row in group),
            ssim=fmean(row.ssim for row in group),
            l1=fmean(row.l1 for row in group),
            sharpness=median(row.sharpness for row in group),
            stlpips=_mean_or_none([row.stlpips for row in group if row.stlpips is not None]),
        )
        for key, group in ordered
    ]


def to_markdown(summary: list[Summary], backbone: str | None, remark: str = "") -> str:
    """Return one Markdown table per metric: a line per preset and bucket, a column per method, the best in bold.

    Args:
        summary: What `summarise` returns.
        backbone: The network behind ST-LPIPS; None where it was not measured.
        remark: Text in place of ST-LPIPS's table; without a remark, the table is left out.
    """
    methods = list(dict.fromkeys(line.method for line in summary))
    groups: dict[tuple[str, str], dict[str, Summary]] = defaultdict(dict)
    for line in summary:
        groups[line.preset, line.bucket][line.method] = line
    parts = ["Figures are per picture, composited, 8-bit RGB, then averaged."]
    for metric, (title, text, best) in METRICS.items():
        if metric == "stlpips" and backbone is None:
            parts += ["", f"### {title.split(' (')[0]}", "", remark] if remark else []
            continue
        parts += [
            "",
            f"### {title.format(backbone)}",
            "",
            "| masks | hole | pictures | " + " | ".join(methods) + " |",
        ]
        parts.append("|---|---|---|" + "---|" * len(methods))
        for (preset, name), by_method in groups.items():
            first = by_method[methods[0]]
            values = [getattr(by_method[method], metric) for method in methods]
            label = f"**{preset}**" if name == "all" else name
            cells = " | ".join(_cells(values, text, best))
            parts.append(f"| {label} | {first.hole_ratio:.1%} | {first.pictures} | {cells} |")
    return "\n".join([*parts, ""])


def _cells(values: list[float | None], text: str, best: Callable[[list[float]], float] | None) -> list[str]:
    known = [value for value in values if value is not None]
    chosen = best(known) if best is not None and known else None
    cells = ["" if value is None else text.format(value) for value in values]
    return [
        f"**{cell}**" if value is not None and value == chosen else cell
        for cell, value in zip(cells, values, strict=True)
    ]


def _mean_or_none(values: list[float]) -> float | None:
    return fmean(values) if values else None
