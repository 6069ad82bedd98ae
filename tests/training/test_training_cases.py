"""Evaluation cases are the same pictures under the same masks for every caller."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pytest

from training.cases import Case, cases_of, files_of, stack
from training.errors import DataError
from training.masks import PRESETS
from training.pictures import Split, load_picture

Part = Split | Literal["all"]


@pytest.fixture(scope="module")
def few(celeba: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plain folder of two pictures, one of them in a subfolder: too few to be split."""
    root = tmp_path_factory.mktemp("few")
    (root / "b").mkdir()
    shutil.copy(celeba / "img_align_celeba" / "000001.jpg", root / "b" / "one.jpg")
    shutil.copy(celeba / "img_align_celeba" / "000002.jpg", root / "two.jpg")
    return root


def names(files: tuple[Path, ...]) -> list[str]:
    return [file.stem for file in files]


# --- which pictures ----------------------------------------------------------------------------------------------


def test_files_of_a_split(celeba: Path) -> None:
    assert names(files_of(celeba, "val", None)) == ["000015", "000016", "000017"]
    assert names(files_of(celeba, "test", None)) == ["000018", "000019", "000020"]
    assert len(files_of(celeba, "train", None)) == 14


def test_all_files(celeba: Path, few: Path) -> None:
    assert names(files_of(celeba, "all", None)) == [f"{number:06}" for number in range(1, 21)]
    assert files_of(few, "all", None) == (few / "b" / "one.jpg", few / "two.jpg")
    with pytest.raises(DataError, match=r"split of .* is empty"):
        files_of(few, "test", None)


def test_the_count_takes_the_first_pictures(celeba: Path) -> None:
    assert names(files_of(celeba, "test", 2)) == ["000018", "000019"]
    assert len(files_of(celeba, "test", 100)) == 3


@pytest.mark.parametrize("split", ["test", "all"])
@pytest.mark.parametrize("count", [0, -1])
def test_a_count_below_1_is_refused(celeba: Path, split: Part, count: int) -> None:
    with pytest.raises(DataError, match=f"count must be at least 1, not {count}"):
        files_of(celeba, split, count)
    with pytest.raises(DataError, match=f"count must be at least 1, not {count}"):
        cases_of(celeba, split, ["report-text"], count)


@pytest.mark.parametrize("split", ["test", "all"])
def test_a_missing_folder_is_named(tmp_path: Path, split: Part) -> None:
    with pytest.raises(DataError, match=r"there is no data folder .*nowhere"):
        files_of(tmp_path / "nowhere", split, None)


# --- under which masks -------------------------------------------------------------------------------------------


def test_every_picture_is_under_one_mask_of_each_preset(celeba: Path) -> None:
    cases = cases_of(celeba, "test", ["free-form", "report-text"], 2, seed=5)
    assert cases == [
        Case(celeba / "img_align_celeba" / f"{name}.jpg", preset, (5, position))
        for preset in ("free-form", "report-text")
        for position, name in enumerate(("000018", "000019"))
    ]


@pytest.mark.parametrize("preset", PRESETS)
def test_a_case_is_its_picture_and_the_mask_of_its_seed(celeba: Path, preset: str) -> None:
    case = Case(celeba / "img_align_celeba" / "000018.jpg", preset, (5, 3))
    image, mask = case.load()
    np.testing.assert_array_equal(image, load_picture(case.file))
    np.testing.assert_array_equal(mask, PRESETS[preset](np.random.default_rng((5, 3)), 178, 178))
    assert image.dtype == mask.dtype == np.uint8
    assert set(np.unique(mask)) == {0, 255}


def test_a_moved_mask_stays_on_what_it_covers(tmp_path: Path) -> None:
    """The picture is red where its mask is white."""
    places = []
    for seed in range(6):
        mask = PRESETS["features"](np.random.default_rng((seed, 0)), 178, 178)
        cv2.imwrite(str(tmp_path / "red.png"), mask[:, :, None] * np.array([0, 0, 1], np.uint8))
        case = Case(tmp_path / "red.png", "features", (seed, 0), moved=True)
        image, moved = case.load()
        red = image[:, :, 0] > 128
        assert np.count_nonzero(moved) >= np.count_nonzero(mask) / 4
        assert red[cv2.erode(moved, np.ones((3, 3), np.uint8)) > 0].all()
        np.testing.assert_array_equal(case.load()[1], moved)
        places.append(np.argwhere(moved).mean(0) - np.argwhere(mask).mean(0))
    assert np.abs(places).max() > 10


def test_masks_depend_on_the_seed_and_the_position_alone(celeba: Path) -> None:
    def masks(count: int, seed: int) -> list[bytes]:
        return [case.load()[1].tobytes() for case in cases_of(celeba, "test", ["report-text"], count, seed)]

    assert masks(3, seed=0)[:2] == masks(2, seed=0)
    assert len({*masks(3, seed=0), *masks(3, seed=1)}) == 6


def test_cases_are_stacked_in_order(celeba: Path) -> None:
    cases = cases_of(celeba, "test", ["report-text", "free-form"], 2)
    images, masks = stack(cases)
    assert (images.shape, images.dtype) == ((4, 178, 178, 3), np.dtype(np.uint8))
    assert (masks.shape, masks.dtype) == ((4, 178, 178), np.dtype(np.uint8))
    for case, *stacked in zip(cases, images, masks, strict=True):
        for expected, given in zip(case.load(), stacked, strict=True):
            np.testing.assert_array_equal(given, expected)
