"""`python -m training evaluate`: quality against the ground truth, compared with classical methods."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from functools import lru_cache
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import torch
from tqdm import tqdm

from training.cases import Case, cases_of, stack
from training.classical import BASELINES, CLASSICAL
from training.errors import CheckpointError, SettingsError, check_at_least
from training.files import sha256, write_atomically, write_json
from training.mask_files import FOLDER, PAIRED, MaskFolder
from training.masks import PRESETS
from training.metrics import hole_psnr, l1, psnr, sharpness, ssim
from training.network.model import MIN_SIZE, MODEL_SIZE, InpaintingModel
from training.perceptual import STLPIPS, Backbone
from training.pictures import Image
from training.plots import contact_sheet
from training.tables import Figures, summarise, to_markdown
from training.transforms import to_model, to_pictures
from training.weights import load_weights, model_from_lightning

OURS = "this model"
CHECKPOINT = ".ckpt"
MISSING = "Not measured: its weights are not installed (`pip install stlpips-pytorch`)."
BATCH = 8


def measure(case: Case, filled: Image, baselines: Sequence[str], backbone: Backbone | None) -> list[Figures]:
    """Measure the model's answer to a case, and the classical methods' answers.

    Args:
        case: The picture and its mask.
        filled: The model's answer, HWC uint8 RGB.
        baselines: Names of classical methods.
        backbone: The network behind ST-LPIPS; None leaves ST-LPIPS out.
    """
    image, mask = case.load()
    hole = mask > 0
    answers = {OURS: filled} | {name: BASELINES[name](image, mask) for name in baselines}
    composites = {name: np.where(hole[..., None], answer, image) for name, answer in answers.items()}
    distances = (
        [None] * len(composites) if backbone is None else stlpips(image, list(composites.values()), backbone)
    )
    rows = []
    for (method, composited), distance in zip(composites.items(), distances, strict=True):
        rows.append(
            Figures(
                case.file.name,
                case.preset,
                float(hole.mean()),
                method,
                psnr(image, composited),
                hole_psnr(image, composited, hole),
                ssim(image, composited),
                l1(image, composited),
                sharpness(image, composited, hole),
                distance,
            )
        )
    return rows


@torch.inference_mode()
def stlpips(truth: Image, answers: list[Image], backbone: Backbone) -> list[float]:
    """Return the ST-LPIPS distance of each answer from the truth; all are HWC uint8 RGB of one size."""
    network = _network(backbone)
    pictures = torch.from_numpy(np.stack([truth, *answers])).permute(0, 3, 1, 2).float() / 255
    wanted, *found = (network.features(picture[None]) for picture in pictures)
    return [float(network.distance(features, wanted)) for features in found]


@lru_cache(maxsize=1)
def _network(backbone: Backbone) -> STLPIPS:
    return STLPIPS(backbone)


@torch.inference_mode()
def fill(model: InpaintingModel, cases: list[Case]) -> list[Image]:
    """Return the model's answers to some cases, HWC uint8 RGB each, computed in batches."""
    device = next(model.parameters()).device
    answers: list[Image] = []
    for group in _groups(cases, BATCH):
        batch = to_model(*(torch.from_numpy(array).to(device) for array in stack(group)))
        answers.extend(to_pictures(model(*batch)))
    return answers


def evaluate(
    model: InpaintingModel,
    cases: list[Case],
    baselines: Sequence[str],
    workers: int,
    backbone: Backbone | None,
    perceptual_count: int,
) -> list[Figures]:
    """Measure the model and the classical methods on every case, with a progress bar.

    Args:
        model: The model, on the device to run it on.
        cases: The cases to measure.
        baselines: Names of classical methods.
        workers: Number of processes that run the classical methods and measure.
        backbone: The network behind ST-LPIPS; None leaves ST-LPIPS out.
        perceptual_count: Number of pictures per preset that ST-LPIPS is measured on, from the beginning.
    """
    rows: list[Figures] = []
    with (
        ProcessPoolExecutor(workers, get_context("spawn"), _single_threaded) as pool,
        tqdm(total=len(cases), unit="picture", desc="evaluate") as bar,
    ):
        for group in _groups(cases, BATCH * workers):
            backbones = [backbone if case.seed[1] < perceptual_count else None for case in group]
            filled = fill(model, group)
            for figures in pool.map(measure, group, filled, repeat(baselines), backbones):
                rows += figures
                bar.update()
    return rows


def _single_threaded() -> None:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def _groups(cases: list[Case], size: int) -> Iterator[list[Case]]:
    return (cases[first : first + size] for first in range(0, len(cases), size))


def _installed(backbone: Backbone | Literal["none"]) -> Backbone | None:
    """Return the backbone to measure ST-LPIPS with; None, with a message, if its weights are not installed."""
    if backbone == "none":
        return None
    try:
        _network(backbone)
    except CheckpointError as error:
        print(f"ST-LPIPS is not measured: {error}", file=sys.stderr)
        return None
    return backbone


def main(argv: list[str]) -> None:
    """Run the command.

    Raises:
        SettingsError: An option has an invalid value.
        CheckpointError: The weights are missing, damaged or not from this project.
        DataError: A folder is invalid, or a picture or mask cannot be read.
        OSError: The output cannot be written.
    """
    parser = argparse.ArgumentParser("python -m training evaluate", description=__doc__)
    parser.add_argument("weights", type=Path, help="weights of a trained network, or a run's checkpoint")
    parser.add_argument("--data", type=Path, required=True, help="CelebA's folder or any folder of pictures")
    parser.add_argument("--split", choices=["val", "test", "all"], default="test")
    parser.add_argument(
        "--count", type=int, help="how many pictures, from the beginning (default: all of the split)"
    )
    parser.add_argument(
        "--masks",
        nargs="+",
        choices=[*PRESETS, FOLDER, PAIRED],
        metavar="PRESET",
        help="mask presets (default: all)",
    )
    parser.add_argument(
        "--mask-folder",
        type=Path,
        help=f"folder of masks, white at the hole; --masks then defaults to {FOLDER!r}, which takes any of them;"
        f" {PAIRED!r} takes the one with the picture's own name",
    )
    parser.add_argument(
        "--baselines",
        nargs="*",
        choices=list(BASELINES),
        default=list(CLASSICAL),
        metavar="METHOD",
        help=f"classical methods to compare with, from {', '.join(BASELINES)} (default: %(default)s)",
    )
    parser.add_argument(
        "--size", type=int, default=MODEL_SIZE, help="side length that pictures are resized to, in pixels"
    )
    parser.add_argument(
        "--moved",
        action="store_true",
        help="rotate, scale and shift each picture with its mask, so that faces are not where they were in training",
    )
    parser.add_argument(
        "--perceptual",
        choices=["alex", "vgg", "none"],
        default="vgg",
        help="the network behind ST-LPIPS; its weights come with the package stlpips-pytorch",
    )
    parser.add_argument(
        "--perceptual-count",
        type=int,
        default=100,
        help="pictures per preset that ST-LPIPS is measured on",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the masks")
    parser.add_argument(
        "--output", type=Path, required=True, help="folder for the JSON, the table and the contact sheet"
    )
    parser.add_argument("--rows", type=int, default=4, help="pictures per preset on the contact sheet")
    parser.add_argument(
        "--workers", type=int, default=torch.get_num_threads(), help="processes for the baselines"
    )
    options = parser.parse_args(argv)
    least = {"seed": 0, "rows": 1, "workers": 1, "size": MIN_SIZE, "perceptual_count": 0}
    for name, minimum in least.items():
        check_at_least(f"--{name.replace('_', '-')}", getattr(options, name), minimum)
    mask_folder = None if options.mask_folder is None else MaskFolder(options.mask_folder)
    masks = options.masks or (list(PRESETS) if mask_folder is None else [FOLDER])
    for name in {FOLDER, PAIRED}.intersection(masks) if mask_folder is None else ():
        raise SettingsError(f"the masks {name!r} need --mask-folder")
    model, provenance = (
        model_from_lightning(options.weights)
        if options.weights.suffix == CHECKPOINT
        else load_weights(options.weights)
    )
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    cases = cases_of(
        options.data, options.split, masks, options.count, options.seed, options.size, mask_folder
    )
    if options.moved:
        cases = [replace(case, moved=True) for case in cases]
    options.output.mkdir(parents=True, exist_ok=True)  # a mistake shows now, not after hours
    backbone = _installed(options.perceptual)
    rows = evaluate(model, cases, options.baselines, options.workers, backbone, options.perceptual_count)
    summary = summarise(rows)
    missing = options.perceptual != "none" and backbone is None
    table = to_markdown(summary, backbone, MISSING if missing else "")
    document = {
        "weights": {"sha256": sha256(options.weights), "provenance": provenance},
        "data": {
            "split": options.split,
            "pictures": len({case.file for case in cases}),
            "mask_seed": options.seed,
            "size": options.size,
            "moved": options.moved,
            "stlpips": {"backbone": backbone, "pictures": options.perceptual_count},
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
