"""Figures are gathered by preset and share of hole, summed up and set in a table."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from training.metrics import psnr
from training.tables import PERFECT, Figures, Summary, bucket, summarise, to_markdown

ROW = Figures("a.jpg", "report-text", 0.05, "ours", psnr=30.0, ssim=0.9, l1=0.02, sharpness=0.5)


def rows(*changes: dict[str, object]) -> list[Figures]:
    return [replace(ROW, **change) for change in changes]


# --- buckets -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hole_ratio", "name"),
    [
        (0.0, "0-10 %"),
        (0.0999, "0-10 %"),
        (0.1, "10-20 %"),
        (0.2, "20-30 %"),
        (0.2999, "20-30 %"),
        (0.3, "30-40 %"),
        (0.4, "40-50 %"),
        (0.5, "50-60 %"),
        (0.5999, "50-60 %"),
        (0.6, "60-100 %"),
        (1.0, "60-100 %"),
    ],
)
def test_a_bucket_has_its_lower_edge(hole_ratio: float, name: str) -> None:
    assert bucket(hole_ratio) == name


def test_all_comes_first_then_the_buckets_by_their_holes() -> None:
    ratios = ({"hole_ratio": ratio} for ratio in (0.45, 0.05, 0.9, 0.41))
    summary = summarise(rows(*ratios))
    assert [(line.bucket, line.pictures) for line in summary] == [
        ("all", 4),
        ("0-10 %", 1),
        ("40-50 %", 2),
        ("60-100 %", 1),
    ]


def test_presets_and_methods_keep_their_order() -> None:
    summary = summarise(
        rows(
            {"preset": "report-text", "method": "ours"},
            {"preset": "report-text", "method": "Telea"},
            {"preset": "free-form", "method": "ours", "hole_ratio": 0.01},
            {"preset": "free-form", "method": "Telea", "hole_ratio": 0.01},
        )
    )
    assert [(line.preset, line.bucket, line.method) for line in summary] == [
        (preset, name, method)
        for preset in ("report-text", "free-form")
        for name in ("all", "0-10 %")
        for method in ("ours", "Telea")
    ]


# --- sums --------------------------------------------------------------------------------------------------------


def test_a_summary_has_means_and_the_median_of_sharpness() -> None:
    values = [
        {"hole_ratio": 0.01, "psnr": 20.0, "ssim": 0.8, "l1": 0.01, "sharpness": 0.2},
        {"hole_ratio": 0.02, "psnr": 30.0, "ssim": 0.9, "l1": 0.02, "sharpness": 0.4},
        {"hole_ratio": 0.06, "psnr": 46.0, "ssim": 1.0, "l1": 0.06, "sharpness": 9.0},
    ]
    everything, only_bucket = summarise(rows(*values))
    assert everything == Summary(
        "report-text",
        "all",
        "ours",
        3,
        hole_ratio=pytest.approx(0.03),
        psnr=pytest.approx(32.0),
        ssim=pytest.approx(0.9),
        l1=pytest.approx(0.03),
        sharpness=0.4,
    )
    assert only_bucket == replace(everything, bucket="0-10 %")


def test_a_perfect_answer_counts_100_db() -> None:
    summary = summarise(rows({"psnr": math.inf}, {"psnr": 30.0}))
    assert PERFECT == 100
    assert summary[0].psnr == 65


def test_that_is_more_than_any_other_answer_has() -> None:
    truth = np.zeros((178, 178, 3), np.uint8)
    answer = truth.copy()
    answer[0, 0, 0] = 1
    assert 97 < psnr(truth, answer) < PERFECT


def test_a_flat_truth_does_not_blow_up_the_sharpness() -> None:
    summary = summarise(rows({"sharpness": math.inf}, {"sharpness": 0.4}, {"sharpness": 0.6}))
    assert summary[0].sharpness == 0.6


# --- the table ---------------------------------------------------------------------------------------------------


def test_the_table() -> None:
    summary = summarise(
        rows(
            {"hole_ratio": 0.05, "psnr": 31.0},
            {"hole_ratio": 0.25, "psnr": 20.0, "ssim": 0.7, "l1": 0.0302, "sharpness": 0.3},
            {"hole_ratio": 0.05, "psnr": 29.0, "method": "Telea", "sharpness": 1.256},
            {"hole_ratio": 0.25, "psnr": 20.5, "method": "Telea", "sharpness": 0.3},
        )
    )
    assert to_markdown(summary).splitlines() == [
        "| masks | hole | pictures | ours | Telea |",
        "|---|---|---|---|---|",
        "| **report-text** | 15.0% | 2 | **25.50 / 0.800 / 0.0251 / 0.40** | 24.75 / 0.900 / 0.0200 / 0.78 |",
        "| 0-10 % | 5.0% | 1 | **31.00 / 0.900 / 0.0200 / 0.50** | 29.00 / 0.900 / 0.0200 / 1.26 |",
        "| 20-30 % | 25.0% | 1 | 20.00 / 0.700 / 0.0302 / 0.30 | **20.50 / 0.900 / 0.0200 / 0.30** |",
        "",
        "PSNR in dB / SSIM / L1, means over pictures, and sharpness, the median: gradient energy in the hole over the"
        " truth's, 1 = as sharp as the truth; composited, uint8, RGB.",
    ]


def test_equals_are_both_the_best() -> None:
    table = to_markdown(summarise(rows({"method": "ours"}, {"method": "Telea", "sharpness": 0.1})))
    assert table.count("| **30.00 / 0.900 / 0.0200 / 0.50** | **30.00 / 0.900 / 0.0200 / 0.10** |") == 2
