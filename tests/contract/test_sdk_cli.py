"""The command `inpaint` on both engines, for a photo and for a folder."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from engines import Engine
from PIL import Image
from rest import Fill, RestClient
from sample_pictures import encode, encode_mask, face, scratch

COMMAND = Path(sys.executable).with_name("inpaint")
NAMES = ("ann", "bob", "cem")
HOLE = scratch(200, 150, 7)


def inpaint(engine: Engine, *arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [str(COMMAND), *map(str, arguments), "--url", engine.url]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def photo(name: str) -> np.ndarray:
    return np.roll(face(200, 150), NAMES.index(name), axis=1)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Folders of photos and of masks, and the path of a folder for results."""
    photos, masks = tmp_path / "photos", tmp_path / "masks"
    photos.mkdir()
    masks.mkdir()
    for name in NAMES:
        (photos / f"{name}.png").write_bytes(encode(photo(name)))
        (masks / f"{name}.png").write_bytes(encode_mask(HOLE))
    return photos, masks, tmp_path / "filled"


def test_fill_a_photo(
    engine: Engine, rest: RestClient, folders: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    photos, masks, _ = folders
    done = inpaint(engine, "fill", photos / "ann.png", masks / "ann.png", "-o", tmp_path / "out.png")
    assert done.returncode == 0, done.stderr
    assert f"{HOLE.mean():.1%} of 150x200 pixels" in done.stderr
    answer = rest.fill(Fill(encode(photo("ann")), encode_mask(HOLE)))
    assert (tmp_path / "out.png").read_bytes() == answer.png


def test_fill_a_folder_lists_failures_and_skips_existing_results(
    engine: Engine, rest: RestClient, folders: tuple[Path, Path, Path]
) -> None:
    photos, masks, results = folders
    (masks / "bob.png").write_bytes(encode_mask(HOLE.T))
    command = ("fill", photos, "--masks", masks, "-o", results)
    first = inpaint(engine, *command)
    assert first.returncode == 1
    assert "bob.png" in first.stderr
    assert "200x150" in first.stderr
    assert "2 filled, 0 skipped, 1 failed" in first.stderr
    assert sorted(path.name for path in results.iterdir()) == ["ann.png", "cem.png"]

    (masks / "bob.png").write_bytes(encode_mask(HOLE))
    second = inpaint(engine, *command)
    assert second.returncode == 0, second.stderr
    assert "1 filled, 2 skipped, 0 failed" in second.stderr
    for name in NAMES:
        answer = rest.fill(Fill(encode(photo(name)), encode_mask(HOLE))).rgb
        assert (np.asarray(Image.open(results / f"{name}.png")) == answer).all()


def test_health(engine: Engine) -> None:
    done = inpaint(engine, "health", "--wait", "60")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Healthy")


def test_a_rejected_mask_is_reported_in_one_line_with_exit_code_1(
    engine: Engine, folders: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    photos, _, _ = folders
    (tmp_path / "text.png").write_text("a letter")
    done = inpaint(engine, "fill", photos / "ann.png", tmp_path / "text.png", "-o", tmp_path / "out.png")
    assert done.returncode == 1
    assert "mask" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out.png").exists()
