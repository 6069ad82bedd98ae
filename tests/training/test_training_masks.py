"""Hole masks: the report's two presets, free-form strokes of a given size, fine marks and facial features."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest

from training import masks
from training.masks import (
    FEATURES,
    HOLE_RATIOS,
    PRESETS,
    draw_lines,
    features,
    fine,
    free_form,
    report_code,
    report_text,
)

SIZE = 178


class Pen:
    """Records every line that OpenCV draws, and draws it."""

    def __init__(self) -> None:
        self.ends: list[tuple[int, int]] = []
        self.thickness: list[int] = []
        self._line = cv2.line

    def __call__(
        self, picture: Any, start: tuple[int, int], end: tuple[int, int], colour: int, thickness: int
    ) -> Any:
        self.ends += [start, end]
        self.thickness.append(thickness)
        return self._line(picture, start, end, colour, thickness)


@pytest.fixture
def pen(monkeypatch: pytest.MonkeyPatch) -> Pen:
    pen = Pen()
    monkeypatch.setattr(cv2, "line", pen)
    return pen


@pytest.mark.parametrize(
    ("preset", "thickness"), [(report_text, range(7, 12)), (report_code, range(1, 12))], ids=["text", "code"]
)
def test_report_masks_are_seven_lines_of_the_reports_thickness(
    pen: Pen, preset: Callable[..., np.ndarray], thickness: range
) -> None:
    rng = np.random.default_rng(0)
    for drawn in range(1, 101):
        preset(rng, SIZE, SIZE)
        assert len(pen.thickness) == 7 * drawn
    assert set(pen.thickness) == set(thickness)


def test_end_points_lie_anywhere_in_the_picture_and_nowhere_else(pen: Pen) -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        report_text(rng, 40, 60)
    columns, rows = zip(*pen.ends, strict=True)
    assert set(columns) == set(range(60))
    assert set(rows) == set(range(40))


@pytest.mark.parametrize(("preset", "mean"), [("report-text", 0.200), ("report-code", 0.142)])
def test_mean_hole_of_the_report_masks(preset: str, mean: float) -> None:
    """As measured on 600 pictures before this project."""
    rng = np.random.default_rng(0)
    ratios = [np.mean(PRESETS[preset](rng, SIZE, SIZE) > 0) for _ in range(300)]
    assert np.mean(ratios) == pytest.approx(mean, abs=0.01)


@pytest.mark.parametrize("preset", sorted(PRESETS))
class TestEveryPreset:
    @pytest.mark.parametrize("shape", [(SIZE, SIZE), (64, 64), (97, 240), (256, 256)])
    def test_is_black_and_white_with_a_hole(self, preset: str, shape: tuple[int, int]) -> None:
        for seed in range(5):
            mask = PRESETS[preset](np.random.default_rng(seed), *shape)
            assert mask.dtype == np.uint8
            assert mask.shape == shape
            assert set(np.unique(mask)) == {0, 255}

    def test_a_seed_repeats_a_mask(self, preset: str) -> None:
        first, again = (PRESETS[preset](np.random.default_rng(5), SIZE, SIZE) for _ in range(2))
        np.testing.assert_array_equal(first, again)

    def test_another_seed_draws_another(self, preset: str) -> None:
        drawn = {PRESETS[preset](np.random.default_rng(seed), SIZE, SIZE).tobytes() for seed in range(20)}
        assert len(drawn) == 20

    def test_one_generator_draws_different_masks_in_turn(self, preset: str) -> None:
        rng = np.random.default_rng(5)
        assert not np.array_equal(PRESETS[preset](rng, SIZE, SIZE), PRESETS[preset](rng, SIZE, SIZE))


def test_the_presets() -> None:
    assert list(PRESETS) == ["report-text", "report-code", "free-form", "fine", "features"]


class TestFeatures:
    """Where the masks of facial features lie, on an aligned face of any size."""

    @pytest.fixture(params=FEATURES)
    def feature(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
        """A feature's name; it is then the only feature drawn."""
        name: str = request.param
        monkeypatch.setattr(masks, "_FEATURE_SHARES", np.array([float(other == name) for other in FEATURES]))
        return name

    @pytest.mark.parametrize(("height", "width"), [(178, 178), (96, 96), (178, 240), (256, 192)])
    def test_each_covers_its_place(self, feature: str, height: int, width: int) -> None:
        """In three masks out of four, in the central square; the fourth lies anywhere. A scribble may leave gaps."""
        drawn = [features(np.random.default_rng(seed), height, width) > 0 for seed in range(100)]
        share = np.mean(drawn, axis=0)
        side = min(height, width)
        scale, top, left = side / 178, (height - side) / 2, (width - side) / 2
        for x, y, across, down in FEATURES[feature] or FEATURES["both eyes"]:
            rows, columns = (
                slice(round((c - r) * scale + o), round((c + r) * scale + o) + 1)
                for c, r, o in ((y, down / 2, top), (x, across / 2, left))
            )
            if feature == "glasses":  # only one pair in three has dark lenses; the frame runs around the eye
                wide = share[rows.start - rows.stop + rows.start : 2 * rows.stop - rows.start, columns]
                assert wide.max() > 0.4
                assert share[rows, columns].mean() > 0.2
            else:
                assert share[rows, columns].mean() > 0.65
        assert np.mean(drawn) < 0.25  # and not much else

    @pytest.mark.parametrize("shape", [(32, 32), (64, 64), (97, 240), (500, 333)])
    def test_is_never_empty_and_never_full(self, shape: tuple[int, int]) -> None:
        for seed in range(300):
            mask = features(np.random.default_rng(seed), *shape)
            assert mask.shape == shape
            assert 0 < np.mean(mask > 0) < 0.7

    def test_one_in_four_lies_anywhere(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Its offset reaches far beyond the jitter of the others."""
        monkeypatch.setattr(masks, "_FEATURE_SHARES", np.array([float(name == "nose") for name in FEATURES]))
        away = 0
        for seed in range(300):
            rows, columns = np.nonzero(features(np.random.default_rng(seed), SIZE, SIZE))
            away += bool(np.hypot(columns.mean() - 88, rows.mean() - 110) > 18)
        assert 0.15 < away / 300 < 0.3

    def test_every_feature_is_drawn(self) -> None:
        assert len(masks._FEATURE_SHARES) == len(FEATURES)
        assert masks._FEATURE_SHARES.min() > 0
        assert masks._FEATURE_SHARES.sum() == pytest.approx(1)


def test_fine_marks_are_everywhere_and_leave_known_pixels_nearby() -> None:
    for seed in range(200):
        mask = fine(np.random.default_rng(seed), SIZE, SIZE)
        assert 0.005 < np.mean(mask > 0) < 0.8
        assert cv2.distanceTransform(mask, cv2.DIST_L2, 5).max() < 8
        for quarter in (mask[:89, :89], mask[:89, 89:], mask[89:, :89], mask[89:, 89:]):
            assert np.any(quarter)


def test_number_and_thickness_of_lines_are_options(pen: Pen) -> None:
    draw_lines(np.random.default_rng(0), 50, 50, (3, 4), lines=11)
    assert pen.thickness == [3] * 11


@pytest.mark.parametrize("shape", [(SIZE, SIZE), (64, 64), (80, 200)])
@pytest.mark.parametrize("ratio", np.linspace(*HOLE_RATIOS, 13).round(4).tolist())
def test_free_form_hits_its_target(shape: tuple[int, int], ratio: float) -> None:
    for seed in range(4):
        mask = free_form(np.random.default_rng(seed), *shape, ratio)
        assert np.mean(mask > 0) == pytest.approx(ratio, abs=0.03)


def test_free_form_covers_the_whole_range_by_default() -> None:
    ratios = [np.mean(free_form(np.random.default_rng(seed), SIZE, SIZE) > 0) for seed in range(120)]
    counts, _ = np.histogram(ratios, bins=6, range=(0.0, 0.6))
    assert counts.sum() >= 110  # a target near 0.6 may be overshot a little
    assert counts.min() >= 8


@pytest.mark.parametrize("ratio", [0.0, 0.009, 0.601, 1.0, -0.2, float("nan")])
def test_a_ratio_out_of_range_is_refused(ratio: float) -> None:
    with pytest.raises(ValueError, match=r"between 0\.01 and 0\.6, not"):
        free_form(np.random.default_rng(0), SIZE, SIZE, ratio)
