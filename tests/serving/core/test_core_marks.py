"""The bundled network finds marks drawn on a face, whatever the picture's size and kind."""

import numpy as np
import pytest
from sample_pictures import face, painted, scratch

from serving.core.codec import Picture
from serving.core.marks import MAX_PIXELS, MarkDetector


@pytest.fixture(scope="module")
def detector() -> MarkDetector:
    return MarkDetector()


@pytest.mark.parametrize("colour", [(240, 240, 240), (10, 10, 10), (220, 30, 40), (30, 200, 60)])
@pytest.mark.parametrize("thickness", [2, 4])
def test_a_line_of_any_colour_is_found(
    detector: MarkDetector, colour: tuple[int, ...], thickness: int
) -> None:
    hole = scratch(220, 180, thickness)
    found = detector.find(Picture(painted(face(220, 180), hole, colour)))
    assert found[hole].mean() > 0.8


def test_almost_nothing_is_found_on_a_face_without_marks(detector: MarkDetector) -> None:
    assert detector.find(Picture(face(220, 180))).mean() < 0.02


def test_a_large_picture_is_searched_at_a_reduced_size(detector: MarkDetector) -> None:
    height, width = 1500, 1200
    assert height * width > MAX_PIXELS
    hole = scratch(height, width, 12)
    found = detector.find(Picture(painted(face(height, width), hole, (240, 240, 240))))
    assert found.shape == hole.shape
    assert found[hole].mean() > 0.8


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (17, 33)])
def test_any_size(detector: MarkDetector, size: tuple[int, int]) -> None:
    assert detector.find(Picture(face(*size).reshape(*size, 3))).shape == size


def test_kinds_of_pictures_that_look_the_same_have_the_same_marks(detector: MarkDetector) -> None:
    grey = (
        painted(face(120, 100), scratch(120, 100, 3), (250, 250, 250))
        .mean(axis=2, keepdims=True)
        .astype(np.uint8)
    )
    alpha = np.full_like(grey, 9)
    rgb = np.repeat(grey, 3, axis=2)
    expected = detector.find(Picture(rgb))
    assert expected.any()
    kinds = [grey, np.dstack([grey, alpha]), np.dstack([rgb, alpha]), rgb.astype(np.uint16) * 257]
    for samples in kinds:
        assert (detector.find(Picture(samples)) == expected).all()
