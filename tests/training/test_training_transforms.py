"""Conversion to the model's tensors, and augmentation: warps and colours from the generator, within their bounds."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
import torch

from training.transforms import AugmentConfig, augment, draw_augmentation, to_model, to_pictures, warp_mask

NOTHING = AugmentConfig(rotation=0.0, flip=0.0, brightness=0.0)
DRAWS = 60


class TestConversion:
    """The one place where hole = white becomes known = 1."""

    def test_pictures(self) -> None:
        images = torch.randint(0, 256, (2, 5, 7, 3), dtype=torch.uint8)
        converted, _ = to_model(images, torch.zeros(2, 5, 7, dtype=torch.uint8))
        assert converted.shape == (2, 3, 5, 7)
        assert converted.dtype == torch.float32
        assert torch.equal(converted[1, 2, 4, 6], images[1, 4, 6, 2] / 255)
        np.testing.assert_array_equal(to_pictures(converted), images.numpy())

    def test_masks(self) -> None:
        values = torch.tensor([0, 1, 127, 128, 200, 255], dtype=torch.uint8).reshape(1, 2, 3)
        _, known = to_model(torch.zeros(1, 2, 3, 3, dtype=torch.uint8), values)
        assert known.shape == (1, 1, 2, 3)
        assert known.dtype == torch.float32
        assert known.flatten().tolist() == [1, 1, 1, 0, 0, 0]


def draws(image: np.ndarray, config: AugmentConfig) -> np.ndarray:
    """DRAWS augmented copies of an HWC uint8 picture, NHWC uint8."""
    rng = np.random.default_rng(0)
    warps, colours = map(np.stack, zip(*(draw_augmentation(rng, config) for _ in range(DRAWS)), strict=True))
    images, _ = to_model(torch.from_numpy(image[None].copy()), torch.zeros(1, 1, 1))
    copies = images.expand(DRAWS, -1, -1, -1)
    return to_pictures(augment(copies, torch.from_numpy(warps), torch.from_numpy(colours)))


def test_a_generator_repeats_itself() -> None:
    def drawn(seed: int) -> list[bytes]:
        return [part.tobytes() for part in draw_augmentation(np.random.default_rng(seed), AugmentConfig())]

    assert drawn(3) == drawn(3)
    assert drawn(3) != drawn(4)


def test_without_augmentation_nothing_changes(face: np.ndarray) -> None:
    for unchanged in draws(face, NOTHING):
        np.testing.assert_array_equal(unchanged, face)


def test_the_batch_given_is_left_alone(face: np.ndarray) -> None:
    images, _ = to_model(torch.from_numpy(face[None].copy()), torch.zeros(1, 1, 1))
    before = images.clone()
    warp, colours = (
        torch.from_numpy(m)[None] for m in draw_augmentation(np.random.default_rng(0), AugmentConfig())
    )
    assert not torch.equal(augment(images, warp, colours), before)
    assert torch.equal(images, before)


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
    factors = []
    for changed in draws(image, AugmentConfig(rotation=0.0, flip=0.0, brightness=0.2)):
        assert changed.min() == changed.max()
        factors.append(changed[0, 0, 0] / 120)
    assert 0.795 < min(factors) < 0.83
    assert 1.17 < max(factors) < 1.205


def test_bright_pixels_saturate() -> None:
    image = np.full((178, 178, 3), 250, np.uint8)
    assert draws(image, AugmentConfig(rotation=0.0, brightness=0.5)).max() == 255


def gradients(config: AugmentConfig) -> tuple[np.ndarray, np.ndarray]:
    """Angle in degrees and length of the gradient of a plane that rises to the right, after each draw."""
    image = np.repeat(np.linspace(20, 230, 178)[None, :, None], 178, axis=0).repeat(3, axis=2)
    middles = draws(image.astype(np.uint8), config)[:, 40:138, 40:138, 0].astype(float)
    down, right = (np.gradient(middles, axis=axis).mean((1, 2)) for axis in (1, 2))
    return np.degrees(np.arctan2(down, right)), np.hypot(down, right) / (210 / 177)


def test_rotation_stays_within_its_bounds() -> None:
    angles, lengths = gradients(AugmentConfig(rotation=10.0, flip=0.0, brightness=0.0))
    assert -10.5 < angles.min() < -7
    assert 7 < angles.max() < 10.5
    assert lengths == pytest.approx(1, abs=0.02)


def test_zoom_stays_within_its_bounds() -> None:
    """An enlarged picture rises more slowly; 8-bit steps blur the slope by some 2 %."""
    angles, lengths = gradients(AugmentConfig(rotation=0.0, flip=0.0, brightness=0.0, zoom=0.25))
    assert angles == pytest.approx(0, abs=0.5)
    assert 0.77 < lengths.min() < 0.85
    assert 1.18 < lengths.max() < 1.28


def test_a_share_of_the_pictures_is_not_warped(face: np.ndarray) -> None:
    config = AugmentConfig(rotation=10.0, flip=0.0, brightness=0.0, zoom=0.2, warped=0.5)
    still = sum(np.array_equal(changed, face) for changed in draws(face, config))
    assert 0.25 * DRAWS < still < 0.75 * DRAWS


def test_a_share_of_the_pictures_is_grey(face: np.ndarray) -> None:
    grey = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY).astype(int)
    count = 0
    for changed in draws(face, AugmentConfig(rotation=0.0, flip=0.0, brightness=0.0, grey=0.5)):
        if not np.array_equal(changed, face):
            count += 1
            assert abs(changed.astype(int) - grey[..., None]).max() <= 1
    assert 0.25 * DRAWS < count < 0.75 * DRAWS


def test_rotation_turns_about_the_middle(face: np.ndarray) -> None:
    """It agrees with OpenCV's own rotation, up to interpolation."""
    config = AugmentConfig(rotation=10.0, flip=0.0, brightness=0.0)
    (warp, _), (changed, *_) = draw_augmentation(np.random.default_rng(0), config), draws(face, config)
    angle = math.degrees(math.atan2(warp[1, 0], warp[0, 0]))
    turn = cv2.getRotationMatrix2D((88.5, 88.5), angle, 1.0)
    expected = cv2.warpAffine(
        face, turn, (178, 178), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
    )
    assert np.abs(changed.astype(int) - expected).mean() < 0.5


def test_warps_leave_no_empty_corner() -> None:
    image = np.full((178, 178, 3), 200, np.uint8)
    changed = draws(image, AugmentConfig(rotation=45.0, flip=0.0, brightness=0.0, zoom=0.3))
    assert changed.min() == 200


def test_a_mask_is_warped_like_its_picture() -> None:
    """An augmented picture of the mask itself is the warped mask, up to rounding at its edges."""
    rng = np.random.default_rng(0)
    mask = np.zeros((120, 120), np.uint8)
    mask[30:70, 40:75] = 255
    config = AugmentConfig(rotation=20, flip=0.5, brightness=0, zoom=0.3, shift=0.1, warped=1.0)
    for _ in range(10):
        warp, colours = draw_augmentation(rng, config)
        picture = torch.from_numpy(mask / np.float32(255)).expand(1, 3, -1, -1)
        augmented = augment(picture, torch.from_numpy(warp)[None], torch.from_numpy(colours)[None])
        expected = augmented[0, 0].numpy() > 0.5
        assert expected.any()
        assert ((warp_mask(mask, warp) == 255) != expected).sum() < 0.01 * expected.sum()


def test_a_shift_moves_a_picture_by_a_share_of_its_side() -> None:
    rng = np.random.default_rng(0)
    config = AugmentConfig(rotation=0, flip=0, shift=0.2)
    shifts = np.array([draw_augmentation(rng, config)[0][:, 2] / 2 for _ in range(200)])
    assert np.abs(shifts).max() <= 0.2
    assert (np.abs(shifts).max(axis=0) > 0.15).all()
