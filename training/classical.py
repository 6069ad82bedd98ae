"""Classical inpainting methods, the baselines of every quality measurement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
from skimage.restoration import denoise_tv_chambolle, inpaint_biharmonic

from training.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from training.masks import Mask
    from training.pictures import Image

RADIUS: Final = 3.0
"""Neighbourhood radius of OpenCV's methods, in pixels."""

TV_STEPS: Final = 40
TV_ITERATIONS: Final = 20
TV_WEIGHT: Final = 0.1
"""Total variation: steps, denoising iterations per step, and the denoising weight, which is the step size."""

PATCH_RADIUS: Final = 3
"""Radius of PatchMatch's patches, in pixels: 7×7, as in its package's examples."""


def telea(image: Image, mask: Mask) -> Image:
    """Fill by Telea's fast marching (2004). HWC uint8 RGB and HW uint8 with 255 = hole; returns HWC uint8."""
    return np.asarray(cv2.inpaint(image, mask, RADIUS, cv2.INPAINT_TELEA), np.uint8)


def navier_stokes(image: Image, mask: Mask) -> Image:
    """Fill by Bertalmio's Navier-Stokes method (2001); arguments as for `telea`."""
    return np.asarray(cv2.inpaint(image, mask, RADIUS, cv2.INPAINT_NS), np.uint8)


def biharmonic(image: Image, mask: Mask) -> Image:
    """Fill by solving the biharmonic equation in the hole (scikit-image); arguments as for `telea`."""
    known = np.where(mask[..., None] > 0, 0, image)
    filled = inpaint_biharmonic(known, mask > 0, channel_axis=2)
    return np.asarray(np.rint(np.clip(filled, 0, 1) * 255), np.uint8)


def total_variation(image: Image, mask: Mask) -> Image:
    """Fill with the least total variation that fits the surroundings (Chan and Shen, 2002); arguments as for `telea`.

    Forward-backward splitting, starting from Telea's answer: each step is TV denoising (Chambolle, 2004; scikit-image),
    after which the known pixels are restored.
    """
    hole = mask[..., None] > 0
    known = image / 255
    filled = telea(image, mask) / 255
    for _ in range(TV_STEPS):
        smooth = denoise_tv_chambolle(  # type: ignore[no-untyped-call]
            filled, weight=TV_WEIGHT, max_num_iter=TV_ITERATIONS, channel_axis=2
        )
        filled = np.where(hole, smooth, known)
    return np.asarray(np.rint(np.clip(filled, 0, 1) * 255), np.uint8)


def patch_match(image: Image, mask: Mask) -> Image:
    """Fill with patches of the surroundings (Barnes et al., 2009; pypatchmatch); arguments as for `telea`.

    Raises:
        SettingsError: The package is not installed.
    """
    try:
        from patchmatch import patch_match as library
    except ImportError as error:
        raise SettingsError("PatchMatch needs its package: `pip install pypatchmatch`") from error
    return np.asarray(library.inpaint(image, mask, patch_size=PATCH_RADIUS), np.uint8)


CLASSICAL: Final[dict[str, Callable[[Image, Mask], Image]]] = {
    "Telea": telea,
    "Navier-Stokes": navier_stokes,
    "biharmonic": biharmonic,
}
"""The methods in every comparison, by display name."""

BASELINES: Final = {**CLASSICAL, "total variation": total_variation, "PatchMatch": patch_match}
"""The methods above, a slower one, and one that needs its own package."""
