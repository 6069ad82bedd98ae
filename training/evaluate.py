"""`python -m training evaluate`: quality on pictures with known truth, beside classical methods."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import torch
from tqdm import tqdm

from training.cases import Case, cases_of, stack
from training.classical import CLASSICAL
from training.errors import SettingsError
from training.files import sha256, write_atomically, write_json
from training.masks import PRESETS
from training.metrics import l1, psnr, sharpness, ssim
from training.network.model import InpaintingModel
from training.pictures import Image
from training.plots import contact_sheet
from training.tables import Figures, summarise, to_markdown
from training.transforms import to_model, to_pictures
from training.weights import load_weights

OURS = "this model"
BATCH = 8


def measure(case: Case, filled: Image) -> list[Figures]:
    """Measure the model's answer to a case, HWC uint8 RGB, and the classical methods'."""
    image, mask = case.load()
    hole = mask > 0
    answers = {OURS: filled} | {name: method(image, mask) for name, method in CLASSICAL.items()}
    rows = []
    for method, answer in answers.items():
        composited = np.where(hole[..., None], answer, image)
        rows.append(
            Figures(
                case.file.name,
                case.preset,
                float(hole.mean()),
                method,
                psnr(image, composited),
                ssim(image, composited),
                l1(image, composited),
                sharpness(image, composited, hole),
            )
        )
    return rows


@torch.inference_mode()
def fill(model: InpaintingModel, cases: list[Case]) -> list[Image]:
    """Return the model's answers to some cases, HWC uint8 RGB each, computed in batches."""
    device = next(model.parameters()).device
    answers: list[Image] = []
    for group in _groups(cases, BATCH):
        batch = to_model(*(torch.from_numpy(array).to(device) for array in stack(group)))
        answers.extend(to_pictures(model(*batch)))
    return answers


def evaluate(model: InpaintingModel, cases: list[Case], workers: int) -> list[Figures]:
    """Measure the model and the classical methods on every case, with a progress bar."""
    rows: list[Figures] = []
    with (
        ProcessPoolExecutor(workers, get_context("spawn"), partial(cv2.setNumThreads, 1)) as pool,
        tqdm(total=len(cases), unit="picture", desc="evaluate") as bar,
    ):
        for group in _groups(cases, BATCH * workers):
            for figures in pool.map(measure, group, fill(model, group)):
                rows += figures
                bar.update()
    return rows


def _groups(cases: list[Case], size: int) -> Iterator[list[Case]]:
    return (cases[first : first + size] for first in range(0, len(cases), size))


def main(argv: list[str]) -> None:
    """Run the command.

    Raises:
        SettingsError: An option has a value that cannot work.
        CheckpointError: The weights are missing, damaged or of another kind.
        DataError: The pictures are not what they should be.
        OSError: The output cannot be written.
    """
    parser = argparse.ArgumentParser("python -m training evaluate", description=__doc__)
    parser.add_argument("weights", type=Path, help="safetensors of a trained network")
    parser.add_argument("--data", type=Path, required=True, help="CelebA's folder or any folder of pictures")
    parser.add_argument("--split", choices=["val", "test", "all"], default="test")
    parser.add_argument(
        "--count", type=int, help="how many pictures, from the beginning (default: all of the split)"
    )
    parser.add_argument("--masks", nargs="+", choices=list(PRESETS), default=list(PRESETS), metavar="PRESET")
    parser.add_argument("--seed", type=int, default=0, help="seed of the masks")
    parser.add_argument(
        "--output", type=Path, required=True, help="folder for the JSON, the table and the sheet"
    )
    parser.add_argument("--rows", type=int, default=4, help="pictures per preset on the contact sheet")
    parser.add_argument(
        "--workers", type=int, default=torch.get_num_threads(), help="processes for the baselines"
    )
    options = parser.parse_args(argv)
    for name, least in (("seed", 0), ("rows", 1), ("workers", 1)):
        if getattr(options, name) < least:
            raise SettingsError(f"--{name} must be at least {least}, not {getattr(options, name)}")
    model, provenance = load_weights(options.weights)
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    cases = cases_of(options.data, options.split, options.masks, options.count, options.seed)
    options.output.mkdir(parents=True, exist_ok=True)  # a mistake shows now, not after hours
    rows = evaluate(model, cases, options.workers)
    summary = summarise(rows)
    table = to_markdown(summary)
    document = {
        "weights": {"sha256": sha256(options.weights), "provenance": provenance},
        "data": {
            "split": options.split,
            "pictures": len({case.file for case in cases}),
            "mask_seed": options.seed,
        },
        "summary": [asdict(line) for line in summary],
        "figures": [asdict(row) for row in rows],
    }
    write_json(options.output / "evaluation.json", document)
    write_atomically(options.output / "evaluation.md", table.encode())
    shown = [case for case in cases if case.seed[1] < options.rows]
    pictures = [(*case.load(), answer) for case, answer in zip(shown, fill(model, shown), strict=True)]
    write_atomically(options.output / "contact-sheet.png", contact_sheet(pictures))
    print(table)
    print(f"written: {options.output}/evaluation.json, evaluation.md and contact-sheet.png")
