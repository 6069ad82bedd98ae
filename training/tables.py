"""Quality figures: one row per picture and method, and what they come to by mask preset and share of hole."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, median

BUCKETS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
"""Edges of the hole-ratio buckets, as in Liu et al."""

PERFECT = 100.0
"""What a perfect answer counts for in a mean of PSNR, in dB: more than one grey level off in one sample does."""

CAPTION = (
    "PSNR in dB / SSIM / L1, means over pictures, and sharpness, the median: gradient energy in the hole over the"
    " truth's, 1 = as sharp as the truth; composited, uint8, RGB."
)


@dataclass(frozen=True)
class Figures:
    """The quality of one method's answer to one picture under one mask.

    Attributes:
        picture: The file's name.
        preset: The mask preset.
        hole_ratio: Share of hole pixels in [0, 1].
        method: The method's name.
        psnr: In dB; infinite for a perfect answer.
        ssim: In [-1, 1].
        l1: Mean absolute difference on the scale [0, 1].
        sharpness: Gradient energy in the hole over the truth's; infinite where the truth alone is flat.
    """

    picture: str
    preset: str
    hole_ratio: float
    method: str
    psnr: float
    ssim: float
    l1: float
    sharpness: float


@dataclass(frozen=True)
class Summary:
    """Means over the pictures of one preset and bucket; `bucket` "all" is the whole preset.

    `sharpness` is the median: over a truth that is nearly flat the ratio is as large as you like.
    """

    preset: str
    bucket: str
    method: str
    pictures: int
    hole_ratio: float
    psnr: float
    ssim: float
    l1: float
    sharpness: float


def bucket(hole_ratio: float) -> str:
    """Return the name of the bucket that a share of hole falls into, "60-100 %" beyond the last edge."""
    for low, high in pairwise(BUCKETS):
        if hole_ratio < high:
            return f"{low * 100:.0f}-{high * 100:.0f} %"
    return f"{BUCKETS[-1] * 100:.0f}-100 %"


def summarise(rows: list[Figures]) -> list[Summary]:
    """Sum up by preset, bucket and method: presets and methods in the order of appearance, "all" before the buckets."""
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
            ssim=fmean(row.ssim for row in group),
            l1=fmean(row.l1 for row in group),
            sharpness=median(row.sharpness for row in group),
        )
        for key, group in ordered
    ]


def to_markdown(summary: list[Summary]) -> str:
    """Return a Markdown table: a line per preset and bucket, a column per method, best PSNR in bold."""
    methods = list(dict.fromkeys(line.method for line in summary))
    cells: dict[tuple[str, str], dict[str, Summary]] = defaultdict(dict)
    for line in summary:
        cells[line.preset, line.bucket][line.method] = line
    table = [
        "| masks | hole | pictures | " + " | ".join(methods) + " |",
        "|---|---|---|" + "---|" * len(methods),
    ]
    for (preset, name), by_method in cells.items():
        best = max(line.psnr for line in by_method.values())
        first = next(iter(by_method.values()))
        label = f"**{preset}**" if name == "all" else name
        entries = [_entry(by_method[method], best) for method in methods]
        table.append(f"| {label} | {first.hole_ratio:.1%} | {first.pictures} | " + " | ".join(entries) + " |")
    return "\n".join([*table, "", CAPTION, ""])


def _entry(line: Summary, best: float) -> str:
    text = f"{line.psnr:.2f} / {line.ssim:.3f} / {line.l1:.4f} / {line.sharpness:.2f}"
    return f"**{text}**" if line.psnr == best else text
