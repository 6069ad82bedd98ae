"""The contact sheet, and the curves of a training run."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from training.plots import COLUMNS, GAP, HEADER, contact_sheet, draw_curves

SIDE = 60


@pytest.fixture(scope="module")
def pictures(face: np.ndarray) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Two parts of the face under different holes; the answers differ from the truth everywhere."""
    triples = []
    for number, (top, left) in enumerate(((20, 30), (70, 90))):
        truth = face[top : top + SIDE, left : left + SIDE]
        mask = np.zeros((SIDE, SIDE), np.uint8)
        mask[10 : 40 + number, 5:25] = 255
        triples.append((truth, mask, 255 - truth))
    return triples


@pytest.fixture(scope="module")
def sheet(pictures: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> np.ndarray:
    content = contact_sheet(pictures)
    assert content.startswith(b"\x89PNG")
    with Image.open(io.BytesIO(content)) as image:
        assert image.mode == "RGB"
        return np.asarray(image)


def tile(sheet: np.ndarray, line: int, column: int) -> np.ndarray:
    top, left = HEADER + line * (SIDE + GAP), column * (SIDE + GAP)
    return sheet[top : top + SIDE, left : left + SIDE]


def test_its_size(sheet: np.ndarray) -> None:
    assert sheet.shape == (HEADER + 2 * SIDE + GAP, 4 * SIDE + 3 * GAP, 3)


@pytest.mark.parametrize("line", [0, 1])
def test_its_tiles(
    sheet: np.ndarray, pictures: list[tuple[np.ndarray, np.ndarray, np.ndarray]], line: int
) -> None:
    truth, mask, answer = pictures[line]
    masked, filled, shown, difference = (tile(sheet, line, column) for column in range(4))
    hole = mask == 255
    np.testing.assert_array_equal(shown, truth)
    assert (masked[hole] == 255).all()
    np.testing.assert_array_equal(masked[~hole], truth[~hole])
    np.testing.assert_array_equal(filled[hole], answer[hole])
    np.testing.assert_array_equal(filled[~hole], truth[~hole])
    assert not difference[~hole].any()
    expected = np.minimum(4 * np.abs(answer[hole].astype(int) - truth[hole].astype(int)), 255)
    np.testing.assert_array_equal(difference[hole], expected)
    assert expected.min() < 255  # not every difference is clipped


def test_every_column_has_a_title_and_gaps_are_white(sheet: np.ndarray) -> None:
    assert len(COLUMNS) == 4
    for column in range(4):
        left = column * (SIDE + GAP)
        assert (sheet[:HEADER, left : left + SIDE] < 128).any()
        assert (sheet[HEADER:, left + SIDE : left + SIDE + GAP] == 255).all()
    assert (sheet[HEADER + SIDE : HEADER + SIDE + GAP] == 255).all()


# --- curves ------------------------------------------------------------------------------------------------------

COLUMNS_OF_LOG = "epoch,lr-Adam,step,train_loss,val_loss,val_psnr"


def log(folder: Path, version: int, *rows: str, end: str = "\n") -> None:
    """Write one start's CSV log; train and validation rows leave each other's columns empty, as Lightning does."""
    path = folder / f"version_{version}" / "metrics.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([COLUMNS_OF_LOG, *rows]) + end)


def rows(first: int, last: int, loss: float = 0.1) -> list[str]:
    train = [f"0,,{step},{loss / (step + 1)},," for step in range(first, last)]
    return [*train, f"0,,{last - 1},,{loss / last},{20 + last}"]


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    return tmp_path / "curves.png"


def pixels(path: Path) -> np.ndarray:
    picture = cv2.imread(str(path))
    assert picture is not None
    return picture


def coloured(picture: np.ndarray) -> int:
    """The number of coloured pixels: those of the curves, since all else is black on white."""
    channels = picture.astype(int)
    return int(np.count_nonzero(channels.max(2) > channels.min(2) + 60))


def test_a_picture_with_both_curves(tmp_path: Path, drawn: Path) -> None:
    log(tmp_path / "logs", 0, *rows(0, 10))
    draw_curves(tmp_path / "logs", drawn)
    picture = pixels(drawn)
    assert picture.shape[0] > 300
    assert picture.shape[1] > 800
    middle = picture.shape[1] // 2
    assert coloured(picture[:, :middle]) > 200
    assert coloured(picture[:, middle:]) > 20


def test_a_resumed_run_is_one_curve(tmp_path: Path, drawn: Path) -> None:
    """The second start repeats steps that the first had done after its checkpoint; the later values count."""
    log(tmp_path / "whole", 0, *rows(0, 6), *rows(6, 12))
    draw_curves(tmp_path / "whole", drawn)
    whole = pixels(drawn)
    log(tmp_path / "parts", 0, *rows(0, 6), "0,,6,99.0,,", "0,,7,99.0,,")
    log(tmp_path / "parts", 1, *rows(6, 12))
    draw_curves(tmp_path / "parts", drawn)
    np.testing.assert_array_equal(pixels(drawn), whole)


def test_ten_starts_are_read_in_order(tmp_path: Path, drawn: Path) -> None:
    """version_10 comes after version_9, not after version_1."""
    log(tmp_path / "logs", 10, *rows(0, 6))
    draw_curves(tmp_path / "logs", drawn)
    last = pixels(drawn)
    for version in range(10):
        log(tmp_path / "logs", version, *rows(0, 6, loss=version + 1))
    draw_curves(tmp_path / "logs", drawn)
    np.testing.assert_array_equal(pixels(drawn), last)


@pytest.mark.parametrize("half", ["0,,10", "0,", "0,,10,0.0"])
def test_half_a_line_of_a_killed_run_is_left_out(tmp_path: Path, drawn: Path, half: str) -> None:
    log(tmp_path / "logs", 0, *rows(0, 10))
    draw_curves(tmp_path / "logs", drawn)
    whole = pixels(drawn)
    log(tmp_path / "logs", 0, *rows(0, 10), half, end="")
    draw_curves(tmp_path / "logs", drawn)
    np.testing.assert_array_equal(pixels(drawn), whole)


def test_a_loss_in_decibels_is_drawn_below_zero(tmp_path: Path, drawn: Path) -> None:
    """A logarithmic axis would drop it."""
    log(tmp_path / "logs", 0, *rows(0, 10, loss=-20.0))
    draw_curves(tmp_path / "logs", drawn)
    assert coloured(pixels(drawn)[:, :540]) > 200


@pytest.mark.parametrize("content", [[], ["0,,3,,,"], ["0,,3,0.5,,"]])
def test_a_log_with_empty_columns_is_accepted(tmp_path: Path, drawn: Path, content: list[str]) -> None:
    log(tmp_path / "logs", 0, *content)
    draw_curves(tmp_path / "logs", drawn)
    assert pixels(drawn).size > 0


def test_no_log_yet(tmp_path: Path, drawn: Path) -> None:
    draw_curves(tmp_path / "logs", drawn)
    assert pixels(drawn).size > 0
