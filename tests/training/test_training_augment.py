"""Augmentation: rotation, flip and brightness, each within its bounds, from the generator alone."""

from __future__ import annotations

import math

import numpy as np
import pytest

from training.augment import AugmentConfig, augment

NOTHING = AugmentConfig(rotation=0.0, flip=0.0, brightness=0.0)
DRAWS = 60


def draws(image: np.ndarray, config: AugmentConfig) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [augment(rng, image, config) for _ in range(DRAWS)]


def test_a_generator_repeats_itself(face: np.ndarray) -> None:
    first, again = (augment(np.random.default_rng(3), face, AugmentConfig()) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, augment(np.random.default_rng(4), face, AugmentConfig()))


@pytest.mark.parametrize("shape", [(178, 178), (60, 91)])
def test_shape_and_type_stay_and_the_picture_given_is_left_alone(
    face: np.ndarray, shape: tuple[int, int]
) -> None:
    image = face[: shape[0], : shape[1]].copy()
    before = image.copy()
    for changed in draws(image, AugmentConfig())[:5]:
        assert changed.shape == image.shape
        assert changed.dtype == np.uint8
        assert not np.array_equal(changed, image)
    np.testing.assert_array_equal(image, before)


def test_nothing_asked_nothing_changed(face: np.ndarray) -> None:
    for unchanged in draws(face, NOTHING)[:3]:
        np.testing.assert_array_equal(unchanged, face)


def test_flips_half_of_the_pictures(face: np.ndarray) -> None:
    flipped = 0
    for changed in draws(face, AugmentConfig(rotation=0.0, flip=0.5, brightness=0.0)):
        if np.array_equal(changed, face[:, ::-1]):
            flipped += 1
        else:
            np.testing.assert_array_equal(changed, face)
    assert 0.25 * DRAWS < flipped < 0.75 * DRAWS


def test_brightness_is_a_factor_within_its_bounds() -> None:
    image = np.full((178, 178, 3), 120, np.uint8)
    config = AugmentConfig(rotation=0.0, flip=0.0, brightness=0.2)
    factors = []
    for changed in draws(image, config):
        assert changed.min() == changed.max()
        factors.append(changed[0, 0, 0] / 120)
    assert 0.795 < min(factors) < 0.83
    assert 1.17 < max(factors) < 1.205


def test_bright_pixels_saturate() -> None:
    image = np.full((178, 178, 3), 250, np.uint8)
    brightest = max(int(c.max()) for c in draws(image, AugmentConfig(rotation=0.0, brightness=0.5)))
    assert brightest == 255


def test_rotation_stays_within_its_bounds() -> None:
    """The angle is read off a plane that rises to the right: a rotation turns its gradient."""
    image = np.repeat(np.linspace(20, 230, 178)[None, :, None], 178, axis=0).repeat(3, axis=2)
    angles = []
    for changed in draws(image.astype(np.uint8), AugmentConfig(rotation=10.0, flip=0.0, brightness=0.0)):
        middle = changed[40:138, 40:138, 0].astype(float)
        down, right = (np.mean(gradient) for gradient in np.gradient(middle))
        angles.append(math.degrees(math.atan2(down, right)))
    assert -10.5 < min(angles) < -7
    assert 7 < max(angles) < 10.5


def test_rotation_leaves_no_empty_corner() -> None:
    image = np.full((178, 178, 3), 200, np.uint8)
    for changed in draws(image, AugmentConfig(rotation=45.0, flip=0.0, brightness=0.0)):
        assert changed.min() == 200
