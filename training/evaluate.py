"""`python -m training evaluate`: quality on pictures with known truth, beside classical methods."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
import torch
from tqdm import tqdm

from training.cases import Case, cases_of
from training.classical import CLASSICAL
from training.data import to_model
from training.figures import Figures, summarise, to_markdown
from training.files import sha256, write_atomically, write_json
from training.masks import PRESETS
from training.metrics import l1, psnr, ssim
from training.model import InpaintingModel
from training.pictures import Image
from training.sheet import contact_sheet
from training.weights import load_weights

OURS = "this model"
BATCH = 8


def measure(case: Case, filled: Image | None = None) -> list[Figures]:
    """Measure the classical methods on a case, and the model's answer when it is given."""
    image, mask = case.load()
    hole = mask > 0
    answers = {OURS: filled} if filled is not None else {}
    answers |= {name: method(image, mask) for name, method in CLASSICAL.items()}
    rows = []
    for method, answer in answers.items():
        composited = np.where(hole[..., None], answer, image)
        quality = psnr(image, composited), ssim(image, composited), l1(image, composited)
        rows.append(Figures(case.file.name, case.preset, float(hole.mean()), method, *quality))
    return rows


@torch.inference_mode()
def fill(model: InpaintingModel, cases: list[Case]) -> list[Image]:
    """Return the model's answers to some cases, HWC uint8 RGB each."""
    images, masks = zip(*(case.load() for case in cases), strict=True)
    device = next(model.parameters()).device
    batch = to_model(
        torch.from_numpy(np.stack(images)).to(device), torch.from_numpy(np.stack(masks)).to(device)
    )
    answers = (model(*batch) * 255).round().byte().permute(0, 2, 3, 1)
    return list(answers.cpu().numpy())


def evaluate(model: InpaintingModel, cases: list[Case], workers: int) -> list[Figures]:
    """Measure the model and the classical methods on every case, with a progress bar."""
    rows: list[Figures] = []
    context = get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=partial(cv2.setNumThreads, 1)) as pool:
        bar = tqdm(total=len(cases), unit="picture", desc="evaluate")
        with bar:
            for group in _groups(cases, BATCH * max(1, workers)):
                answers = [a for part in _groups(group, BATCH) for a in fill(model, part)]
                for figures in pool.map(measure, group, answers):
                    rows += figures
                    bar.update()
    return rows


def _groups(cases: list[Case], size: int) -> Iterator[list[Case]]:
    iterator = iter(cases)
    while group := list(islice(iterator, size)):
        yield group


def main(argv: list[str]) -> None:
    """Run the command."""
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
    model, provenance = load_weights(options.weights)
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    cases = cases_of(options.data, options.split, options.masks, options.count, options.seed)
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
