"""The contact sheet shows each picture masked, filled and as it was, and four times the difference."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from training.plots import COLUMNS, GAP, HEADER, contact_sheet

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
    assert expected.min() < 255  # not every difference is cut off


def test_every_column_has_a_title_and_gaps_are_white(sheet: np.ndarray) -> None:
    assert len(COLUMNS) == 4
    for column in range(4):
        left = column * (SIDE + GAP)
        assert (sheet[:HEADER, left : left + SIDE] < 128).any()
        assert (sheet[HEADER:, left + SIDE : left + SIDE + GAP] == 255).all()
    assert (sheet[HEADER + SIDE : HEADER + SIDE + GAP] == 255).all()
