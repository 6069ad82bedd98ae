"""Which parts of a hole are wide."""

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from training import masks
from training.network.wide_holes import FADE, WIDTH, wide_parts


def hole_of(mask: np.ndarray) -> Tensor:
    return torch.from_numpy(mask >= 128)[None, None]


def random_hole(seed: int) -> Tensor:
    return hole_of(masks.free_form(np.random.default_rng(seed), 120, 150, 0.4))


@pytest.mark.parametrize("seed", range(4))
def test_every_pixel_of_the_opening_is_wide(seed: int) -> None:
    """The opening is computed by OpenCV, with its own treatment of the picture's border."""
    hole = random_hole(seed)
    square = np.ones((WIDTH, WIDTH), np.uint8)
    opening = cv2.morphologyEx(hole[0, 0].numpy().astype(np.uint8), cv2.MORPH_OPEN, square)
    weight = wide_parts(1 - hole.float())
    assert opening.any()
    assert (weight[0, 0].numpy()[opening > 0] == 1).all()


@pytest.mark.parametrize("seed", range(4))
def test_pixels_far_from_the_opening_are_not_wide(seed: int) -> None:
    hole = random_hole(seed)
    square = np.ones((WIDTH, WIDTH), np.uint8)
    # What is outside the picture counts as hole.
    padded = np.pad(hole[0, 0].numpy().astype(np.uint8), WIDTH, constant_values=1)
    opening = cv2.morphologyEx(padded, cv2.MORPH_OPEN, square)
    near = cv2.dilate(opening, np.ones((2 * FADE + 1, 2 * FADE + 1), np.uint8))[WIDTH:-WIDTH, WIDTH:-WIDTH]
    weight = wide_parts(1 - hole.float())[0, 0].numpy()
    assert not weight[near == 0].any()
    assert weight.max() == 1


def test_no_known_pixel_is_wide() -> None:
    hole = random_hole(0)
    assert not wide_parts(1 - hole.float())[~hole].any()


@pytest.mark.parametrize("seed", range(4))
def test_fine_marks_have_no_wide_part(seed: int) -> None:
    hole = hole_of(masks.fine(np.random.default_rng(seed), 178, 178))
    assert not wide_parts(1 - hole.float()).any()


@pytest.mark.parametrize("everything", [False, True])
def test_nothing_and_everything(everything: bool) -> None:
    known = torch.full((1, 1, 40, 50), 0.0 if everything else 1.0)
    torch.testing.assert_close(wide_parts(known), 1 - known)
