"""The loss curve beside the log."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from training.plots import draw_curves

HEADER = "epoch,lr-Adam,step,train_loss,val_loss,val_psnr"


def log(folder: Path, version: int, *rows: str, end: str = "\n") -> None:
    """Write one start's CSV log; train and validation rows leave each other's columns empty, as Lightning does."""
    path = folder / f"version_{version}" / "metrics.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([HEADER, *rows]) + end)


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
    """How many pixels are in colour: those of the curves, all else is black on white."""
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
    """The second start repeats steps that the first had done after its checkpoint; the later word counts."""
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
def test_a_log_without_all_columns_filled_is_no_fault(
    tmp_path: Path, drawn: Path, content: list[str]
) -> None:
    log(tmp_path / "logs", 0, *content)
    draw_curves(tmp_path / "logs", drawn)
    assert pixels(drawn).size > 0


def test_no_log_yet(tmp_path: Path, drawn: Path) -> None:
    draw_curves(tmp_path / "logs", drawn)
    assert pixels(drawn).size > 0
