"""`python -m benchmarks.comparison`: this project compared with alternatives to it, in one table and one plot."""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from tqdm import tqdm

from benchmarks import machine
from benchmarks.command import exit_status
from benchmarks.comparison.contestants import OURS, contestants
from benchmarks.comparison.measure import Case, Figures, measure_methods, measure_server, median_of
from benchmarks.load import CONNECTIONS
from benchmarks.processes import ServerFailedError
from benchmarks.sample import sample
from serving.core.cpus import available_cores
from serving.core.models import default_model
from serving.core.runtime import Runtime
from training.cases import files_of
from training.files import write_json
from training.masks import report_text
from training.pictures import load_picture

if TYPE_CHECKING:
    from collections.abc import Sequence

COLUMNS: Final = {
    "alone_ms": ("a photo alone (ms)", ".1f"),
    "answers_a_second": (f"answers/s, {CONNECTIONS} connections", ".1f"),
    "memory_mib": ("memory when ready (MiB)", ".0f"),
    "psnr": ("PSNR (dB)", ".2f"),
    "ssim": ("SSIM", ".3f"),
}
"""Figures by their names in `Figures`, with the table's headers and formats."""
RATIOS: Final = ("alone_ms", "answers_a_second", "memory_mib")
"""Figures that are also given relative to this project's."""


def cases_of(data: Path | None, count: int) -> list[Case]:
    """Return photos and masks of the report's lines.

    Args:
        data: Folder of photos, whose test split is used; None for the portrait of `benchmarks.sample`, whose face gets
            several masks.
        count: Number of photos.

    Raises:
        DataError: The folder is invalid, or has too few photos.
    """
    photos = [load_picture(file) for file in files_of(data, "test", count)] if data else [sample()[0]] * count
    return [
        (photo, report_text(np.random.default_rng(seed), *photo.shape[:2]))
        for seed, photo in enumerate(photos)
    ]


def to_markdown(figures: Sequence[Figures], left_out: Sequence[str]) -> str:
    """Return the table, with ratios to the first row, and what is left out."""
    header = ["", *(title for title, _ in COLUMNS.values())]
    rows = [header, ["---"] * len(header)]
    for each in figures:
        row = [each.name]
        for column, (_, style) in COLUMNS.items():
            value, base = getattr(each, column), getattr(figures[0], column)
            text = "-" if value is None else format(value, style)
            ratio = f" (×{value / base:.2f})" if value is not None and column in RATIOS else ""
            row.append(text + ratio)
        rows.append(row)
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([table, "", *(f"- {sentence}." for sentence in left_out)])


def plot(figures: Sequence[Figures], path: Path) -> None:
    """Draw a panel of bars for each figure except SSIM to a PNG, SVG or WebP file."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    panels = [column for column in COLUMNS if column != "ssim"]
    height = 1 + 0.35 * len(figures)
    figure, axes = plt.subplots(1, len(panels), sharey=True, figsize=(13, height), layout="constrained")
    names = [each.name for each in figures]
    for panel, column in zip(axes, panels, strict=True):
        title, style = COLUMNS[column]
        values = [getattr(each, column) for each in figures]
        colours = ["tab:orange" if name == OURS else "tab:blue" for name in names]
        bars = panel.barh(names, [value or 0 for value in values], color=colours)
        panel.bar_label(bars, ["-" if value is None else format(value, style) for value in values], padding=3)
        panel.set_title(title, fontsize=10)
        if column == "alone_ms":  # from a millisecond to a second
            panel.set_xscale("log")
        panel.margins(x=0.25)
        panel.spines[["top", "right"]].set_visible(False)
        if column == "psnr":  # the differences are what counts
            known = [value for value in values if value is not None]
            panel.set_xlim(min(known) - 1, max(known) + 1)
    axes[0].invert_yaxis()
    figure.savefig(path)
    plt.close(figure)


def _compare(options: argparse.Namespace) -> None:
    cases = cases_of(options.data, options.pictures)
    runtime = Runtime(options.model, threads=options.threads)
    facts = machine.facts(options.threads)
    with tempfile.TemporaryDirectory() as scratch:
        servers, left_out = contestants(
            options.model, options.weights, options.threads, options.environments, Path(scratch)
        )
        runs: dict[str, list[Figures]] = {}
        failed: dict[str, str] = {}
        for _ in range(options.repeats):
            for each in tqdm(servers, unit="server"):
                if each.name in failed:
                    continue
                try:
                    runs.setdefault(each.name, []).append(measure_server(each, cases, options.rounds))
                except ServerFailedError as error:
                    end = " ".join(str(error).split())[-300:]
                    failed[each.name] = f"{each.name} is left out because it failed: {end}"
            for method in measure_methods(runtime, cases, options.rounds):
                runs.setdefault(method.name, []).append(method)
    if OURS in failed:
        raise ServerFailedError(failed[OURS])
    figures = [median_of(each) for name, each in runs.items() if name not in failed]
    print(machine.to_markdown(facts))
    print(f"\n{options.model}, one 178x178 photo; × is relative to the first row:\n")
    print(to_markdown(figures, [*left_out, *failed.values()]))
    if options.plot:
        plot(figures, options.plot)
    if options.output:
        write_json(options.output, {"machine": facts, "figures": [asdict(each) for each in figures]})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks.comparison", description=__doc__)
    parser.add_argument("--model", type=Path, default=default_model(), help="the ONNX file")
    parser.add_argument(
        "--weights", type=Path, default=Path("models/inpaint.safetensors"), help="the checkpoint"
    )
    parser.add_argument("--threads", type=int, default=available_cores(), help="CPU threads of each server")
    parser.add_argument(
        "--rounds", type=int, default=30, help="requests that are timed, and that each connection sends"
    )
    parser.add_argument("--repeats", type=int, default=3, help="runs of each server; medians are printed")
    parser.add_argument("--data", type=Path, help="folder of photos to measure the quality on")
    parser.add_argument("--pictures", type=int, default=20, help="photos or masks to measure the quality on")
    parser.add_argument(
        "--environments",
        type=Path,
        default=Path("artifacts/environments"),
        help="folder of virtual environments for servers that this project does not install",
    )
    parser.add_argument("--plot", type=Path, help="PNG, SVG or WebP file to draw the plot to")
    parser.add_argument("--output", type=Path, help="JSON file to write as well")
    return parser


def main(argv: list[str]) -> int:
    """Run the command and return its exit status."""
    parser = _parser()
    options = parser.parse_args(argv)
    if min(options.rounds, options.repeats, options.threads, options.pictures) < 1:
        parser.error("--rounds, --repeats, --threads and --pictures must be at least 1")
    return exit_status(lambda: _compare(options))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
