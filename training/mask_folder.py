"""`python -m training mask`: save masked pictures and their masks, for training or tests elsewhere."""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from training.cases import Case, cases_of
from training.errors import DataError, SettingsError, check_at_least
from training.files import write_atomically
from training.masks import PRESETS
from training.network.model import MIN_SIZE, MODEL_SIZE
from training.pictures import Image, PictureFile

MASKED, MASKS = "masked", "masks"
"""Subfolders of the output."""


def save_masked(cases: list[Case], root: Path, output: Path) -> None:
    """Save each case's masked picture (hole pixels white) and mask (255 = hole) as PNG, with a progress bar.

    The pictures keep their paths below `root`, with the suffix `.png`.

    Raises:
        DataError: A picture cannot be read, or two would be saved under the same name.
        OSError: A file cannot be written.
    """
    sources: dict[Path, PictureFile] = {}
    for case in cases:
        name = Path(str(case.file)).relative_to(root).with_suffix(".png")
        if name in sources:
            raise DataError(
                f"{sources[name]} and {case.file} would both be saved as {name}; rename one of them"
            )
        sources[name] = case.file
    for name, case in zip(sources, tqdm(cases, "mask", unit="picture"), strict=True):
        image, mask = case.load()
        masked = np.where(mask[..., None] > 0, np.uint8(255), image)
        write_atomically(output / MASKED / name, _png(masked[..., ::-1]))
        write_atomically(output / MASKS / name, _png(mask))


def _png(pixels: Image) -> bytes:
    """Encode HWC uint8 BGR or HW uint8 as PNG."""
    _, content = cv2.imencode(".png", pixels)
    return content.tobytes()


def main(argv: list[str]) -> None:
    """Run the command.

    Raises:
        SettingsError: An option has an invalid value.
        DataError: A picture cannot be read, or two would be saved under the same name.
        OSError: A file cannot be written.
    """
    parser = argparse.ArgumentParser(
        "python -m training mask",
        description=f"Save masked pictures to OUT/{MASKED} and masks (white = hole) to OUT/{MASKS}, as PNG.",
    )
    parser.add_argument("folder", type=Path, help="CelebA's folder or any folder of pictures")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="folder to write to")
    parser.add_argument("--preset", choices=list(PRESETS), default="report-text", help="mask preset")
    parser.add_argument("--seed", type=int, default=0, help="seed of the masks")
    parser.add_argument(
        "--size", type=int, default=MODEL_SIZE, help="side length of the saved pictures, in pixels"
    )
    parser.add_argument(
        "--split", choices=["train", "val", "test", "all"], default="all", help="which pictures"
    )
    parser.add_argument("--count", type=int, help="number of pictures, from the beginning (default: all)")
    options = parser.parse_args(argv)
    for name, least in (("seed", 0), ("size", MIN_SIZE)):
        check_at_least(f"--{name}", getattr(options, name), least)
    if options.output.resolve().is_relative_to(options.folder.resolve()):
        raise SettingsError(
            f"{options.output} is inside {options.folder}; choose an output folder outside it"
        )
    cases = cases_of(
        options.folder, options.split, [options.preset], options.count, options.seed, options.size
    )
    save_masked(cases, options.folder, options.output)
    print(f"written: {len(cases)} pictures to {options.output / MASKED} and {options.output / MASKS}")
