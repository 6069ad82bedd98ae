"""Small real pictures for every test of the training package: crops of NASA's astronaut portrait."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import lightning  # noqa: F401 (its log handler keeps the stderr of its first import: it must not be capsys's)
import numpy as np
import pytest
import skimage.data
import training_runs as runs

PARTITION_SIZES = (14, 3, 3)
"""Pictures of the tiny CelebA in partitions 0 (train), 1 (val) and 2 (test)."""


@pytest.fixture(scope="session")
def astronaut() -> np.ndarray:
    """The portrait, 512×512×3 uint8 RGB."""
    portrait: np.ndarray = skimage.data.astronaut()  # type: ignore[no-untyped-call]
    return portrait


@pytest.fixture(scope="session")
def face(astronaut: np.ndarray) -> np.ndarray:
    """Her face, 178×178×3 uint8 RGB."""
    return np.ascontiguousarray(astronaut[20:198, 130:308])


@pytest.fixture(scope="session")
def celeba(tmp_path_factory: pytest.TempPathFactory, astronaut: np.ndarray) -> Path:
    """A folder in CelebA's own layout: 178×218 JPEGs and `list_eval_partition.csv`."""
    root = tmp_path_factory.mktemp("celeba")
    (root / "img_align_celeba").mkdir()
    rng = np.random.default_rng(0)
    rows: list[tuple[str, int]] = []
    for partition, size in enumerate(PARTITION_SIZES):
        for _ in range(size):
            name = f"{len(rows) + 1:06}.jpg"
            top, left = rng.integers(0, 512 - 218), rng.integers(0, 512 - 178)
            crop = astronaut[top : top + 218, left : left + 178]
            cv2.imwrite(str(root / "img_align_celeba" / name), cv2.cvtColor(crop, cv2.COLOR_RGB2BGR))
            rows.append((name, partition))
    with (root / "list_eval_partition.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("image_id", "partition"), *rows])
    return root


@pytest.fixture(scope="session")
def report(celeba: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the report's recipe."""
    run = tmp_path_factory.mktemp("report") / "run"
    assert runs.run_here(runs.arguments("report", celeba, run, *runs.REPORT)) == 0
    return run


@pytest.fixture(scope="session")
def mask_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten wide or tall masks with a white box each, in a folder and a subfolder."""
    root = tmp_path_factory.mktemp("masks")
    (root / "more").mkdir()
    for number in range(10):
        mask = np.zeros((90, 120) if number % 2 else (240, 200), np.uint8)
        mask[30 : 40 + 4 * number, 50:80] = 255
        assert cv2.imwrite(str(root / ("more" if number > 5 else ".") / f"{number}.png"), mask)
    return root
