"""`python -m training marks`: train the small network that finds marks, and measure it.

Photos are cropped at several scales, and marks are drawn on most of the crops; the network learns where.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from tqdm import tqdm

from training.cases import files_of
from training.draw_marks import MARK_KINDS, MarkedPicture, MarkKind
from training.loop import train
from training.metrics import precision_and_recall
from training.network.marks_unet import MarksUNet
from training.pictures import load_picture
from training.weights import load_network, save_tensors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from training.pictures import Image

FORMAT = "inpaint-marks-unet/1"

CROP = 112
"""Side length of training pictures, in pixels."""
ZOOM = (0.6, 2.6)
"""Range of the factor by which crops are resized."""
MARKED, KIND_FREQUENCIES = 0.8, (0.3, 0.25, 0.2, 0.25)
"""Share of the crops with marks, and how often each of `MARK_KINDS` is drawn."""
LEARNING_RATE, WARMUP = 2e-3, 100
DICE = 0.3
"""Weight of the Dice loss relative to the cross-entropy: few pixels are marks."""


@dataclass(frozen=True)
class MarksConfig:
    """Length and size of the training.

    Attributes:
        pictures: Number of training pictures, all of which are held in memory.
        steps: Number of steps.
        batch_size: Crops per step.
        seed: Seed of weights, crops and marks.
    """

    pictures: int = 6000
    steps: int = 6000
    batch_size: int = 12
    seed: int = 0


def fit(root: Path, output: Path, config: MarksConfig) -> None:
    """Train the network on a folder's training pictures and write its weights, also after an interrupt.

    Raises:
        DataError: The folder is invalid.
        OSError: The output cannot be written.
    """
    torch.manual_seed(config.seed)
    random = np.random.default_rng(config.seed)
    files = files_of(root, "train", config.pictures)
    pictures = [load_picture(file) for file in tqdm(files, "pictures", unit="picture")]
    network = MarksUNet()
    optimizer = torch.optim.AdamW(network.parameters(), LEARNING_RATE, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min(1.0, (step + 1) / WARMUP) * 0.5 * (1 + float(np.cos(np.pi * step / config.steps))),
    )

    def loss() -> Tensor:
        crops, marks = _batch(pictures, config.batch_size, random)
        return marks_loss(network(crops), marks)

    done = train(network, loss, optimizer, schedule, config.steps)
    provenance = asdict(config) | {"pictures": len(pictures), "steps": done}
    save_tensors(output, FORMAT, network, {"provenance": provenance})
    print(f"weights: {output}")


def load_marks_network(path: Path) -> tuple[MarksUNet, dict[str, Any]]:
    """Read the network from a weights file.

    Returns:
        The network in evaluation mode, and its provenance.

    Raises:
        CheckpointError: The file is missing or damaged, or was not written by `fit`.
    """
    return load_network(MarksUNet(), path, FORMAT, "marks")


def marks_loss(logits: Tensor, marks: Tensor) -> Tensor:
    """Return the loss, a scalar: binary cross-entropy and Dice loss; both arguments N1HW, `marks` 0 or 1."""
    probability = logits.sigmoid()
    overlap = 2 * (probability * marks).sum() + 1
    dice = 1 - overlap / (probability.sum() + marks.sum() + 1)
    return F.binary_cross_entropy_with_logits(logits, marks) + DICE * dice


def _batch(pictures: Sequence[Image], size: int, random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Return crops, N3HW in [0, 1], and their marks, N1HW."""
    crops, marks = zip(
        *(_example(pictures[int(random.integers(len(pictures)))], random) for _ in range(size)), strict=True
    )
    return to_tensor(np.stack(crops)), torch.from_numpy(np.stack(marks)[:, np.newaxis]).float()


def to_tensor(pictures: NDArray[np.uint8]) -> Tensor:
    """Convert NHWC uint8 RGB to N3HW float32 in [0, 1]."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255


def _example(picture: Image, random: np.random.Generator) -> tuple[Image, NDArray[np.bool_]]:
    """Return an augmented crop with marks, HWC uint8 RGB, and where they are, HW."""
    crop = _augment(_crop(picture, random), random)
    marks = np.zeros((CROP, CROP), bool)
    if random.random() < MARKED:
        # Marks are drawn on a larger picture, so that the crop shows parts of them.
        side = int(CROP * random.uniform(1.1, 2.4))
        top, left = random.integers(side - CROP + 1, size=2)
        part = np.s_[top : top + CROP, left : left + CROP]
        larger = np.zeros((side, side, 3), np.uint8)
        larger[part] = crop
        marked = MarkedPicture(larger)
        for kind in random.choice(len(MARK_KINDS), random.integers(1, 3), p=KIND_FREQUENCIES):
            marked.draw(MARK_KINDS[kind], random)
        crop, marks = marked.image[part], marked.marks[part]
    if random.random() < 0.4:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(50, 95))]
        crop = np.asarray(cv2.imdecode(cv2.imencode(".jpg", crop, quality)[1], cv2.IMREAD_COLOR), np.uint8)
    return crop, marks


def _crop(picture: Image, random: np.random.Generator) -> Image:
    zoom = np.exp(random.uniform(*np.log(ZOOM)))
    side = min(int(CROP / zoom), *picture.shape[:2])
    top, left = (random.integers(length - side + 1) for length in picture.shape[:2])
    interpolation = cv2.INTER_AREA if side > CROP else cv2.INTER_CUBIC
    part = picture[top : top + side, left : left + side]
    return np.asarray(cv2.resize(part, (CROP, CROP), interpolation=interpolation), np.uint8)


def _augment(crop: Image, random: np.random.Generator) -> Image:
    if random.random() < 0.5:
        crop = crop[:, ::-1]
    if random.random() < 0.3:
        crop = np.rot90(crop, int(random.integers(4)))
    values: NDArray[np.floating] = crop.astype(np.float32)
    if random.random() < 0.15:
        values = np.broadcast_to(values.mean(2, keepdims=True), values.shape)
    if random.random() < 0.5:
        values = (values - 128) * random.uniform(0.6, 1.4) + random.normal(128, 20)
    if random.random() < 0.4:
        values = values + random.normal(0, random.uniform(0, 8), values.shape)
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)


def evaluate(weights: Path, root: Path, count: int) -> dict[tuple[MarkKind, float], tuple[float, float]]:
    """Measure the network on a folder's test pictures with drawn marks, of one kind at a time.

    Returns:
        Precision and recall by kind and sensitivity, which is 1 minus the lowest probability that counts as a mark.

    Raises:
        CheckpointError, DataError: The weights or the folder cannot be used.
    """
    network, _ = load_marks_network(weights)
    pictures = [load_picture(file) for file in files_of(root, "test", count)]
    results = {}
    for kind in MARK_KINDS:
        random = np.random.default_rng(1)
        marked = [MarkedPicture(picture) for picture in pictures]
        for picture in marked:
            picture.draw(kind, random)
        with torch.inference_mode():
            found = torch.cat([network(to_tensor(p.image[np.newaxis])).sigmoid() for p in marked])
        truth = np.stack([p.marks for p in marked])
        for sensitivity in (0.25, 0.5, 0.75):
            results[kind, sensitivity] = precision_and_recall(found[:, 0].numpy() > 1 - sensitivity, truth)
    return results


def main(argv: list[str]) -> None:
    """Run the command.

    Raises:
        CheckpointError, DataError: The weights or the folder cannot be used.
        OSError: The output cannot be written.
    """
    parser = argparse.ArgumentParser("python -m training marks", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="CelebA's folder or any folder of pictures")
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("-o", "--output", type=Path, help="train, and write the weights to this file")
    action.add_argument("--evaluate", type=Path, metavar="WEIGHTS", help="measure these weights instead")
    parser.add_argument("--steps", type=int, default=MarksConfig.steps, help="default: %(default)s")
    parser.add_argument("--pictures", type=int, default=MarksConfig.pictures, help="default: %(default)s")
    parser.add_argument("--count", type=int, default=200, help="test pictures (default: %(default)s)")
    options = parser.parse_args(argv)
    if options.output is not None:
        fit(options.data, options.output, MarksConfig(options.pictures, options.steps))
        return
    print("| marks | sensitivity | precision | recall |\n|---|---|---|---|")
    for (kind, sensitivity), (precision, recall) in evaluate(
        options.evaluate, options.data, options.count
    ).items():
        print(f"| {kind} | {sensitivity} | {precision:.2f} | {recall:.2f} |")
