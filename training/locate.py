"""`python -m training locate`: train the small network that finds and aligns faces, and measure it.

Aligned pictures are rotated, scaled and shifted at random, and partly covered; the network learns to predict by how
much. Most are first cropped and pasted over something else, so that it cannot learn from the picture's edges instead of
the face. What they are pasted over shows no face: pictures enlarged until no facial feature is left in the window,
tiles of pictures in random order, and textures. Some windows show nothing else; for these it learns that there is no
face.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from tqdm import tqdm

from training.cases import files_of
from training.loop import train
from training.masks import PRESETS
from training.network.alignment import FEATURES, MIDDLE, inverse, positions, transform
from training.network.face_locator import FaceLocator
from training.network.model import MODEL_SIZE
from training.pictures import load_picture
from training.transforms import LUMA
from training.weights import load_locator, save_locator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from training.pictures import Image

SIDE: Final = 96
"""Side length of pictures and windows, in pixels: about half of what is served."""
ROTATION: Final = 13.0
"""Standard deviation of the rotation, in degrees."""
ZOOM: Final = (0.25, 2.4)
"""Range of the face's size, as a multiple of an aligned one's."""
SHIFT: Final = 0.45
"""Largest shift of the face along either axis, in units of positions; small faces are anywhere in the window."""
FACELESS: Final = 0.3
"""Share of the windows without a face."""
FACELESS_ZOOM: Final = (2.5, 6.0)
"""Range of the enlargement of pictures of which no feature is left in the window."""
TILES: Final = (3, 4, 6, 8)
"""Tiles along either axis of a window, when they are put into random order."""
OCTAVES: Final = (2, 3, 6, 12, 24, 48, 96)
"""Grid sizes of the noise that textures are made of."""
SHADES: Final = (2, 6)
"""Range of the number of values of each colour in the textures that have flat areas."""
STRETCH: Final = 0.18
"""Largest change in a face's ratio of height to width, as a natural logarithm."""
CENTRE: Final = 0.2
"""Vertical position that stretching leaves in place, between eyes and mouth."""
CROPPED: Final = 0.7
"""Share of the pictures that are cropped, beside those of small faces, around which there is more to see."""
SMALL: Final = 0.6
"""A face below this size is small, as a multiple of an aligned one's."""
CROP: Final = 0.4
"""Largest crop on each side, in units of positions: all features stay."""
BRIGHTNESS: Final = 0.25
"""Largest relative change of brightness."""
GREY: Final = 0.1
"""Share of grey windows."""
MASKS: Final = {"features": 0.6, "free-form": 0.25, "report-text": 0.15}
"""Share of each mask preset."""
WHOLE: Final = 0.2
"""Share of the windows without holes."""
DRAWN_MASKS: Final = 1500
ON_FACE: Final = 0.7
"""Share of the masks that are moved together with the face."""
WARMUP: Final = 0.05
"""Share of the steps in which the learning rate rises."""
CLOSE: Final = 0.03
"""Errors below this, in positions of an aligned picture, count quadratically."""
PRESENCE: Final = 0.1
"""Weight of the loss for whether there is a face, relative to the loss for where it is."""


@dataclass(frozen=True)
class LocatorConfig:
    """Length and size of the training.

    Attributes:
        pictures: Number of training pictures, all of which are held in memory.
        steps: Number of steps.
        batch_size: Windows per step.
        learning_rate: The highest one.
        seed: Seed of weights, windows and masks.
    """

    pictures: int = 22000
    steps: int = 9000
    batch_size: int = 64
    learning_rate: float = 2e-3
    seed: int = 0


@dataclass(frozen=True)
class Windows:
    """N windows with holes, and where the faces in them are.

    Attributes:
        masked: N3HW in [0, 1], zero in the hole.
        known: N1HW, 1 = known, 0 = hole.
        features: N×3×2, positions of eyes and mouth in the window.
        zoom: N, size of the face as a multiple of an aligned one's.
        has_face: N, 1 or 0.
    """

    masked: Tensor
    known: Tensor
    features: Tensor
    zoom: Tensor
    has_face: Tensor


class WindowDraws:
    """Draws windows from aligned pictures.

    Args:
        pictures: Aligned pictures, `SIDE` pixels high and wide.
        random: The source of all draws.
    """

    def __init__(self, pictures: Sequence[Image], random: np.random.Generator) -> None:
        self._random = random
        self._pictures = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()
        presets = random.choice([*MASKS], DRAWN_MASKS, p=[*MASKS.values()])
        holes = [PRESETS[preset](random, MODEL_SIZE, MODEL_SIZE) for preset in presets]
        smaller = [cv2.resize(hole, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for hole in holes]
        self._holes = torch.from_numpy(np.stack(smaller))[:, None]

    def draw(self, count: int) -> Windows:
        """Draw windows."""
        has_face = self._chance(1 - FACELESS, count)
        alignment = torch.tensor([self._alignment() for _ in range(count)], dtype=torch.float32)
        stretch = torch.exp(self._uniform(STRETCH, count, 1, 1))
        places = transform(inverse(alignment), positions(SIDE, SIDE, alignment))
        is_mirrored = self._chance(0.5, count)[:, None, None] > 0
        across, down = places.unbind(3)
        places = torch.stack(
            [torch.where(is_mirrored, 2 * MIDDLE - across, across), CENTRE + (down - CENTRE) * stretch], 3
        )
        zoom = alignment[:, :2].norm(dim=1)
        is_kept = self._kept(places, zoom) & (has_face[:, None, None] > 0)
        images = torch.where(is_kept[:, None], self._sample(places), self._faceless(count))
        images = self._recoloured(images)
        holes = self._some(self._holes, count)
        on_face = F.grid_sample(holes, places, align_corners=False)
        holes = torch.where(_each(self._chance(ON_FACE, count)) > 0, on_face, holes)
        holes = holes * _each(self._chance(1 - WHOLE, count))
        known = (holes < 0.5).float()
        across, down = torch.tensor(FEATURES).expand(count, -1, -1).unbind(2)
        stretched = torch.stack([across, CENTRE + (down - CENTRE) / stretch[:, 0]], 2)
        features = torch.vmap(lambda one, places: transform(one[None], places)[0])(alignment, stretched)
        return Windows(images * known, known, features, zoom, has_face)

    def _sample(self, places: Tensor) -> Tensor:
        """Sample randomly chosen pictures at N×h×w×2 positions, in [0, 1]."""
        pictures = self._some(self._pictures, len(places))
        return F.grid_sample(pictures, places, padding_mode="border", align_corners=False)

    def _kept(self, places: Tensor, zoom: Tensor) -> Tensor:
        """Crop most pictures. Return where a picture is shown, N×h×w."""
        count = len(places)
        cropped = torch.maximum(self._chance(CROPPED, count), (zoom < SMALL).float())
        crop = self._uniform(CROP, 4, count, 1, 1).abs() * cropped[:, None, None]
        across, down = places.unbind(3)
        is_inside = (
            (across > crop[0] - 1) & (across < 1 - crop[1]) & (down > crop[2] - 1) & (down < 1 - crop[3])
        )
        return is_inside | (crop.amax(0) == 0)

    def _faceless(self, count: int) -> Tensor:
        """Draw pictures without a face, of three kinds."""
        kinds = torch.stack([self._enlarged(count), self._shuffled(count), self._textures(count)])
        return kinds[torch.from_numpy(self._random.integers(len(kinds), size=count)), torch.arange(count)]

    def _enlarged(self, count: int) -> Tensor:
        """Enlarge pictures until all features are outside the window."""
        alignment = torch.tensor([self._faceless_alignment() for _ in range(count)], dtype=torch.float32)
        return self._sample(transform(inverse(alignment), positions(SIDE, SIDE, alignment)))

    def _shuffled(self, count: int) -> Tensor:
        """Put tiles of pictures into random order."""
        tiles = int(self._random.choice(TILES))
        side = SIDE // tiles
        pictures = self._some(self._pictures, count).reshape(count, 3, tiles, side, tiles, side)
        order = torch.from_numpy(self._random.permuted(np.tile(np.arange(tiles**2), (count, 1)), axis=1))
        cut = pictures.permute(0, 2, 4, 1, 3, 5).reshape(count, tiles**2, 3, side, side)
        mixed = cut[torch.arange(count)[:, None], order].reshape(count, tiles, tiles, 3, side, side)
        return mixed.permute(0, 3, 1, 4, 2, 5).reshape(count, 3, SIDE, SIDE)

    def _textures(self, count: int) -> Tensor:
        """Draw sums of noise of several scales, every second one with flat areas."""
        total = torch.zeros(count, 3, SIDE, SIDE)
        for size in OCTAVES:
            colour = self._uniform(1, count, 3, 1, 1)
            noise = self._uniform(1, count, 1, size, size) * colour + 0.3 * self._uniform(
                1, count, 3, size, size
            )
            weight = (
                self._uniform(1, count, 1, 1, 1).abs() / size**0.5
            )  # fine detail is fainter, as in photos
            total += weight * F.interpolate(noise, size=(SIDE, SIDE), mode="bilinear", align_corners=False)
        contrast = (
            self._uniform(1, count, 1, 1, 1).abs() * 0.3 / total.std((1, 2, 3), keepdim=True).clamp(min=1e-3)
        )
        smooth = (total * contrast + 0.5 + self._uniform(0.3, count, 3, 1, 1)).clamp(0, 1)
        steps = torch.from_numpy(
            self._random.integers(SHADES[0] - 1, SHADES[1], (count, 1, 1, 1)).astype(np.float32)
        )
        return torch.where(_each(self._chance(0.5, count)) > 0, (smooth * steps).round() / steps, smooth)

    def _uniform(self, most: float, *shape: int) -> Tensor:
        """Draw values between -most and most."""
        return torch.from_numpy(self._random.uniform(-most, most, shape).astype(np.float32))

    def _some(self, pictures: Tensor, count: int) -> Tensor:
        """Return randomly chosen pictures, in [0, 1]."""
        return pictures[torch.from_numpy(self._random.integers(len(pictures), size=count))].float() / 255

    def _chance(self, probability: float, count: int) -> Tensor:
        """Return N values, each 1 with this probability and otherwise 0."""
        return torch.from_numpy((self._random.random(count) < probability).astype(np.float32))

    def _alignment(self) -> tuple[float, float, float, float]:
        """Draw the alignment of a face."""
        zoom = math.exp(self._random.uniform(*np.log(ZOOM)))
        shift = max(SHIFT, 1 - zoom)
        return self._turned(zoom, *self._random.uniform(-shift, shift, 2))

    def _faceless_alignment(self) -> tuple[float, float, float, float]:
        """Draw an alignment that leaves all features outside the window."""
        zoom = math.exp(self._random.uniform(*np.log(FACELESS_ZOOM)))
        centre = self._random.uniform(-1, 1, 2)
        while np.any(np.all(np.abs(zoom * (FEATURES - centre)) < 1 + SHIFT, axis=1)):
            centre = self._random.uniform(-1, 1, 2)
        return self._turned(zoom, *(-zoom * centre))

    def _turned(self, zoom: float, x: float, y: float) -> tuple[float, float, float, float]:
        """Return an alignment of a size and shift, rotated at random."""
        angle = math.radians(self._random.normal(0, ROTATION))
        return zoom * math.cos(angle), zoom * math.sin(angle), x, y

    def _recoloured(self, images: Tensor) -> Tensor:
        brightness = self._random.uniform(1 - BRIGHTNESS, 1 + BRIGHTNESS, len(images)).astype(np.float32)
        grey = torch.einsum("c,nchw->nhw", torch.tensor(LUMA), images)[:, None].expand_as(images)
        images = torch.where(_each(self._chance(GREY, len(images))) > 0, grey, images)
        return (images * _each(torch.from_numpy(brightness))).clamp(0, 1)


def fit(root: Path, output: Path, config: LocatorConfig, start: Path | None = None) -> None:
    """Train the network on a folder's training pictures and write its weights, also after an interrupt.

    Args:
        root: The folder.
        output: Where to write the weights.
        config: Length and size of the training.
        start: Weights to start from, instead of random ones.

    Raises:
        CheckpointError: The weights to start from cannot be used.
        DataError: The folder is invalid.
        OSError: The output cannot be written.
    """
    torch.manual_seed(config.seed)
    locator = FaceLocator() if start is None else load_locator(start)[0]
    files = files_of(root, "train", config.pictures)
    pictures = [load_picture(file, SIDE) for file in tqdm(files, "pictures", unit="picture")]
    draws = WindowDraws(pictures, np.random.default_rng(config.seed))
    optimizer = torch.optim.AdamW(locator.parameters(), config.learning_rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, config.learning_rate, total_steps=config.steps, pct_start=WARMUP
    )
    done = train(
        locator,
        lambda: locator_loss(locator, draws.draw(config.batch_size)),
        optimizer,
        schedule,
        config.steps,
    )
    save_locator(output, locator, asdict(config) | {"pictures": len(pictures), "steps": done})
    print(f"weights: {output}")


def locator_loss(locator: FaceLocator, windows: Windows) -> Tensor:
    """Return the loss, a scalar: the error of the features' positions, and of whether there is a face."""
    loss = torch.zeros(())
    for alignment, logit in locator.looks(windows.masked, windows.known):
        errors = feature_errors(alignment, windows)
        distance = F.smooth_l1_loss(errors, torch.zeros_like(errors), beta=CLOSE, reduction="none").mean(
            (1, 2)
        )
        located = (distance * windows.has_face).sum() / windows.has_face.sum().clamp(min=1)
        loss = loss + located + PRESENCE * F.binary_cross_entropy_with_logits(logit, windows.has_face)
    return loss


def feature_errors(found: Tensor, windows: Windows) -> Tensor:
    """Return each feature's offset from its true position, N×3×2, in units of positions in the aligned picture."""
    return (transform(found, torch.tensor(FEATURES)) - windows.features) / windows.zoom[:, None, None]


def evaluate(weights: Path, root: Path, count: int) -> tuple[float, float]:
    """Measure the network on windows of a folder's test pictures.

    Returns:
        The median over faces of the mean distance between the found and true positions of eyes and mouth, in pixels of
        an aligned picture of `MODEL_SIZE`; and the share of windows for which it is right about whether there is a
        face.

    Raises:
        CheckpointError, DataError: The weights or the folder cannot be used.
    """
    locator, _ = load_locator(weights)
    pictures = [load_picture(file, SIDE) for file in files_of(root, "test", count)]
    windows = WindowDraws(pictures, np.random.default_rng(1)).draw(2 * count)
    with torch.inference_mode():
        alignment, logit = locator(windows.masked, windows.known)
    distances = torch.linalg.vector_norm(feature_errors(alignment, windows), dim=2).mean(1)
    is_right = (logit > 0) == (windows.has_face > 0)
    return distances[windows.has_face > 0].median().item() * MODEL_SIZE / 2, is_right.float().mean().item()


def _each(values: Tensor) -> Tensor:
    """Shape N values so that each applies to one of N pictures."""
    return values[:, None, None, None]


def main(argv: list[str]) -> None:
    """Run the command.

    Raises:
        CheckpointError, DataError: The weights or the folder cannot be used.
        OSError: The output cannot be written.
    """
    parser = argparse.ArgumentParser("python -m training locate", description=__doc__)
    parser.add_argument(
        "--data", type=Path, required=True, help="CelebA's folder, or one of faces aligned like CelebA's"
    )
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("-o", "--output", type=Path, help="train, and write the weights to this file")
    action.add_argument("--evaluate", type=Path, metavar="WEIGHTS", help="measure these weights instead")
    parser.add_argument("--start", type=Path, metavar="WEIGHTS", help="train on from these weights")
    parser.add_argument(
        "--learning-rate", type=float, default=LocatorConfig.learning_rate, help="default: %(default)s"
    )
    parser.add_argument("--seed", type=int, default=LocatorConfig.seed, help="default: %(default)s")
    parser.add_argument("--steps", type=int, default=LocatorConfig.steps, help="default: %(default)s")
    parser.add_argument("--pictures", type=int, default=LocatorConfig.pictures, help="default: %(default)s")
    parser.add_argument("--count", type=int, default=500, help="test pictures (default: %(default)s)")
    options = parser.parse_args(argv)
    if options.output is not None:
        config = LocatorConfig(
            options.pictures, options.steps, learning_rate=options.learning_rate, seed=options.seed
        )
        fit(options.data, options.output, config, options.start)
        return
    distance, right = evaluate(options.evaluate, options.data, options.count)
    print(
        f"eyes and mouth are found within {distance:.1f} pixels (median); whether there is a face is right in"
        f" {right:.1%}"
    )
