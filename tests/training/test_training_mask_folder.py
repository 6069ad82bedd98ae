"""`python -m training mask`: what is saved, under which names, and what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import training_runs as runs

from training.cases import cases_of
from training.masks import PRESETS
from training.pictures import load_picture


@pytest.fixture
def photos(astronaut: np.ndarray, tmp_path: Path) -> Path:
    """A plain folder of two pictures, one of them in a subfolder."""
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    cv2.imwrite(str(folder / "one.png"), astronaut[:200, :150, ::-1])
    cv2.imwrite(str(folder / "more" / "two.jpg"), astronaut[100:400, 100:400, ::-1])
    return folder


def read(file: Path) -> np.ndarray:
    """HWC uint8 RGB or HW uint8."""
    pixels = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
    assert pixels is not None
    return pixels[..., ::-1] if pixels.ndim == 3 else pixels


def saved(folder: Path) -> set[str]:
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}


def test_pictures_and_masks_are_saved(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    options = ("--preset", "features", "--seed", "5")
    assert runs.run_here(["mask", str(photos), "-o", str(output), *options]) == 0
    names = ("more/two.png", "one.png")
    assert saved(output) == {f"{folder}/{name}" for folder in ("masked", "masks") for name in names}
    sources = (photos / "more" / "two.jpg", photos / "one.png")
    for position, (name, source) in enumerate(zip(names, sources, strict=True)):
        picture, mask = load_picture(source), read(output / "masks" / name)
        expected = PRESETS["features"](np.random.default_rng((5, position)), 178, 178)
        np.testing.assert_array_equal(mask, expected)
        masked = read(output / "masked" / name)
        assert masked.shape == (178, 178, 3)
        np.testing.assert_array_equal(masked[mask == 0], picture[mask == 0])
        assert (masked[mask == 255] == 255).all()
    said = capsys.readouterr()
    assert "2/2" in said.err
    assert said.out == f"written: 2 pictures to {output / 'masked'} and {output / 'masks'}\n"


def test_the_masks_are_the_same_as_in_evaluation(celeba: Path, tmp_path: Path) -> None:
    options = ("--preset", "free-form", "--split", "test", "--count", "2", "--size", "64")
    assert runs.run_here(["mask", str(celeba), "-o", str(tmp_path), *options]) == 0
    for case in cases_of(celeba, "test", ["free-form"], 2, size=64):
        picture, mask = case.load()
        name = Path("img_align_celeba", case.file.name).with_suffix(".png")
        np.testing.assert_array_equal(read(tmp_path / "masks" / name), mask)
        np.testing.assert_array_equal(read(tmp_path / "masked" / name)[mask == 0], picture[mask == 0])
    assert len(saved(tmp_path)) == 4


def test_a_seed_repeats_the_masks_and_another_does_not(photos: Path, tmp_path: Path) -> None:
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert runs.run_here(["mask", str(photos), "-o", str(tmp_path / name), "--seed", seed]) == 0
    first, again, other = ((tmp_path / name / "masks" / "one.png").read_bytes() for name in "abc")
    assert first == again != other


def test_the_output_is_a_folder_of_pictures(photos: Path, tmp_path: Path) -> None:
    """The masked pictures can be masked again."""
    once, twice = tmp_path / "once", tmp_path / "twice"
    assert runs.run_here(["mask", str(photos), "-o", str(once)]) == 0
    assert runs.run_here(["mask", str(once / "masked"), "-o", str(twice)]) == 0
    assert saved(twice) == saved(once)


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        ("nowhere -o out", 1, "error: there is no data folder nowhere"),
        ("photos -o photos/out", 1, "error: photos/out is inside photos; choose an output folder outside it"),
        ("photos -o photos", 1, "error: photos is inside photos"),
        ("photos -o out --seed -1", 1, "error: --seed must be at least 0, not -1"),
        ("photos -o out --size 31", 1, "error: --size must be at least 32, not 31"),
        ("photos -o out --count 0", 1, "the count must be at least 1, not 0"),
        ("photos -o file", 1, "error: [Errno 20] Not a directory"),
        ("same -o out", 1, "would both be saved as one.png; rename one of them"),
        ("photos -o out --preset dots", 2, "invalid choice: 'dots'"),
        ("photos", 2, "the following arguments are required: -o/--output"),
    ],
)
def test_a_mistake_is_one_line(
    photos: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: str,
    status: int,
    message: str,
) -> None:
    root = photos.parent
    (root / "file").write_text("not a folder")
    (root / "same").mkdir()
    for suffix in (".png", ".jpg"):
        shutil.copy(photos / "one.png", root / "same" / f"one{suffix}")
    monkeypatch.chdir(root)
    before = saved(root)
    runs.expect_one_line(["mask", *options.split()], status, message, capsys)
    assert saved(root) == before
