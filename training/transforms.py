"""Conversion between pictures and the model's tensors, and augmentation of training pictures.

Outside the model, pictures are NHWC uint8 RGB and masks have 255 = hole. Inside, pictures are N3HW float32 in [0, 1]
and masks have 1 = known. In training, only `to_model` converts the former to the latter. The parameters of an
augmentation are drawn on the host, as two small matrices; it is applied to a whole batch on the training device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor

from training.masks import Mask
from training.pictures import Image

Batch = tuple[Tensor, Tensor]
"""Pictures, N3HW float32 in [0, 1], and masks, N1HW float32 with 1 = known: the model's own convention."""


def to_model(images: Tensor, masks: Tensor) -> Batch:
    """Convert a batch to the model's convention.

    Args:
        images: NHWC uint8 RGB in [0, 255].
        masks: NHW uint8, 128 and above = hole.

    Returns:
        N3HW float32 in [0, 1] and N1HW float32 with 1 = known, 0 = hole.
    """
    return images.permute(0, 3, 1, 2).float() / 255, (masks < 128).float().unsqueeze(1)


def to_pictures(images: Tensor) -> NDArray[np.uint8]:
    """Convert N3HW float in [0, 1] to NHWC uint8 RGB pictures in host memory."""
    return (images * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()


Matrix = NDArray[np.float32]

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in luma (ITU-R BT.601)."""


@dataclass(frozen=True)
class AugmentConfig:
    """Range of random changes; the first three are those of the report's section on data.

    Attributes:
        rotation: Maximum rotation in either direction, in degrees.
        flip: Probability of a horizontal flip.
        brightness: Maximum relative change of brightness in either direction.
        zoom: Maximum relative enlargement or reduction.
        shift: Maximum shift along each axis, as a share of the side.
        warped: Probability of rotation, zoom and shift. Warping blurs a picture slightly, so some should stay unwarped.
        grey: Probability of conversion to grey.
    """

    rotation: float = 10.0
    flip: float = 0.5
    brightness: float = 0.2
    zoom: float = 0.0
    shift: float = 0.0
    warped: float = 1.0
    grey: float = 0.0


MOVED = AugmentConfig(rotation=15.0, flip=0.0, brightness=0.0, zoom=0.6, shift=0.2)
"""How pictures are moved to measure a network on faces that are not where they were in training."""
LEAST_MOVED = 0.25
"""Minimum share of the hole's pixels that are left after that."""


def draw_augmentation(rng: np.random.Generator, config: AugmentConfig) -> tuple[Matrix, Matrix]:
    """Draw the augmentation of one picture.

    Returns:
        The warp, 2×3 float32, from output to input coordinates in [-1, 1]; and the colour transform, 3×3 float32, from
        input to output RGB.
    """
    angle, zoom, x, y = 0.0, 1.0, 0.0, 0.0
    if rng.random() < config.warped:
        angle = math.radians(rng.uniform(-config.rotation, config.rotation))
        zoom = (1 + config.zoom) ** rng.uniform(-1, 1)
        x, y = rng.uniform(-config.shift, config.shift, 2)
    cos, sin = math.cos(angle) / zoom, math.sin(angle) / zoom
    side = -1.0 if rng.random() < config.flip else 1.0
    warp = np.array([[cos * side, -sin, 2 * x], [sin * side, cos, 2 * y]], np.float32)
    colours = np.tile(LUMA, (3, 1)) if rng.random() < config.grey else np.eye(3)
    brightness = 1.0 + rng.uniform(-config.brightness, config.brightness)
    return warp, (brightness * colours).astype(np.float32)


def warp_mask(mask: Mask, warp: Matrix) -> Mask:
    """Warp a square mask in the same way as `augment` warps its picture; what moves in from outside is known.

    Args:
        mask: HW uint8, 255 = hole.
        warp: 2×3 float32, from `draw_augmentation`.

    Returns:
        HW uint8, 255 = hole.
    """
    side = len(mask)
    linear = warp[:, :2]
    offset = (warp[:, 2] + 1 - linear.sum(1)) * (side - 1) / 2  # from coordinates in [-1, 1] to pixels
    flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    warped = cv2.warpAffine(mask, np.column_stack([linear, offset]), (side, side), flags=flags)
    return np.asarray(warped, np.uint8)


def move(image: Image, mask: Mask, rng: np.random.Generator) -> tuple[Image, Mask]:
    """Rotate, scale and shift a square picture and its mask together, within `MOVED`; some of the hole stays in view.

    Args:
        image: HWC uint8 RGB.
        mask: HW uint8, 255 = hole.
        rng: Source of all randomness.

    Returns:
        The moved picture and its mask.
    """
    hole = np.count_nonzero(mask)
    while True:
        warp, colours = draw_augmentation(rng, MOVED)
        moved = warp_mask(mask, warp)
        if LEAST_MOVED * hole <= np.count_nonzero(moved):
            break
    tensors = (torch.from_numpy(array)[None] for array in (warp, colours))
    pictures = augment(to_model(torch.from_numpy(image)[None], torch.from_numpy(mask)[None])[0], *tensors)
    return to_pictures(pictures)[0], moved


def augment(images: Tensor, warps: Tensor, colours: Tensor) -> Tensor:
    """Warp and recolour a batch of square pictures; pixels from outside a picture are filled by reflection.

    Args:
        images: N3HW float32 in [0, 1].
        warps: N×2×3 float32, from `draw_augmentation`.
        colours: N×3×3 float32, from `draw_augmentation`.

    Returns:
        N3HW float32 in [0, 1].
    """
    grid = F.affine_grid(warps, list(images.shape), align_corners=True)
    warped = F.grid_sample(images, grid, mode="bicubic", padding_mode="reflection", align_corners=True)
    return torch.einsum("nij,njhw->nihw", colours, warped).clamp(0, 1)
