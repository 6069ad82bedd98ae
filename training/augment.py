"""Augmentation of training pictures: rotation, flip and brightness, as in the report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from training.pictures import Image


@dataclass(frozen=True)
class AugmentConfig:
    """How far pictures are changed.

    Attributes:
        rotation: Greatest rotation either way, in degrees.
        flip: Probability of a horizontal flip.
        brightness: Greatest relative change of brightness either way.
    """

    rotation: float = 10.0
    flip: float = 0.5
    brightness: float = 0.2


def augment(rng: np.random.Generator, image: Image, config: AugmentConfig) -> Image:
    """Return a rotated, flipped and brightened copy of an HWC uint8 picture of the same size.

    Corners that a rotation would leave empty are filled by reflection.
    """
    height, width = image.shape[:2]
    angle = rng.uniform(-config.rotation, config.rotation)
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, 1.0)
    turned = cv2.warpAffine(
        image, turn, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )
    if rng.random() < config.flip:
        turned = cv2.flip(turned, 1)
    factor = 1.0 + rng.uniform(-config.brightness, config.brightness)
    return np.asarray(cv2.convertScaleAbs(turned, alpha=factor), np.uint8)  # saturates at 255
