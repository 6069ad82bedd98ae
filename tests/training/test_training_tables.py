"""Figures are grouped by preset and hole ratio, summarised and formatted as tables."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest

from training.metrics import psnr
from training.tables import PERFECT, Figures, Summary, bucket, summarise, to_markdown

ROW = Figures(
    "a.jpg",
    "report-text",
    0.05,
    "ours",
    psnr=30.0,
    hole_psnr=17.0,
    ssim=0.9,
    l1=0.02,
    sharpness=0.5,
    stlpips=0.1,
)


def rows(*changes: dict[str, Any]) -> list[Figures]:
    return [replace(ROW, **change) for change in changes]


def about(value: float) -> float:
    """Compares equal to any number close to this one."""
    return cast(float, pytest.approx(value))


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


# --- summaries ---------------------------------------------------------------------------------------------------


def test_a_summary_has_means_and_the_median_of_sharpness() -> None:
    values = [
        {"hole_ratio": 0.01, "psnr": 20.0, "hole_psnr": 10.0, "ssim": 0.8, "l1": 0.01, "sharpness": 0.2},
        {"hole_ratio": 0.02, "psnr": 30.0, "hole_psnr": 11.0, "ssim": 0.9, "l1": 0.02, "sharpness": 0.4},
        {"hole_ratio": 0.06, "psnr": 46.0, "hole_psnr": 15.0, "ssim": 1.0, "l1": 0.06, "sharpness": 9.0},
    ]
    everything, only_bucket = summarise(rows(*values))
    assert everything == Summary(
        "report-text",
        "all",
        "ours",
        3,
        hole_ratio=about(0.03),
        psnr=about(32.0),
        hole_psnr=about(12.0),
        ssim=about(0.9),
        l1=about(0.03),
        sharpness=0.4,
        stlpips=about(0.1),
    )
    assert only_bucket == replace(everything, bucket="0-10 %")


def test_a_perfect_answer_counts_100_db() -> None:
    summary = summarise(rows({"psnr": math.inf}, {"psnr": 30.0}))
    assert PERFECT == 100
    assert summary[0].psnr == 65


def test_any_other_answer_has_less_than_100_db() -> None:
    truth = np.zeros((178, 178, 3), np.uint8)
    answer = truth.copy()
    answer[0, 0, 0] = 1
    assert 97 < psnr(truth, answer) < PERFECT


def test_a_flat_truth_does_not_blow_up_the_sharpness() -> None:
    summary = summarise(rows({"sharpness": math.inf}, {"sharpness": 0.4}, {"sharpness": 0.6}))
    assert summary[0].sharpness == 0.6


def test_the_perceptual_distance_is_that_of_the_pictures_measured() -> None:
    summary = summarise(rows({"stlpips": 0.2}, {"stlpips": None}, {"stlpips": 0.4}))
    assert summary[0].stlpips == pytest.approx(0.3)
    assert summarise(rows({"stlpips": None}))[0].stlpips is None


# --- the tables --------------------------------------------------------------------------------------------------


def tables(summary: list[Summary], backbone: str | None = "vgg", remark: str = "") -> dict[str, list[str]]:
    """The lines below each title."""
    _, *parts = to_markdown(summary, backbone, remark).split("### ")
    return {part.splitlines()[0]: [line for line in part.splitlines()[1:] if line] for part in parts}


def test_each_figure_has_a_table_with_the_best_in_bold() -> None:
    summary = summarise(
        rows(
            {"hole_ratio": 0.05, "psnr": 31.0},
            {"hole_ratio": 0.25, "psnr": 20.0, "stlpips": None},
            {"hole_ratio": 0.05, "psnr": 29.0, "method": "Telea", "sharpness": 1.256, "stlpips": 0.05},
            {"hole_ratio": 0.25, "psnr": 20.5, "method": "Telea", "stlpips": None},
        )
    )
    found = tables(summary)
    head = ["| masks | hole | pictures | ours | Telea |", "|---|---|---|---|---|"]
    assert found["PSNR (dB), mean"] == [
        *head,
        "| **report-text** | 15.0% | 2 | **25.50** | 24.75 |",
        "| 0-10 % | 5.0% | 1 | **31.00** | 29.00 |",
        "| 20-30 % | 25.0% | 1 | 20.00 | **20.50** |",
    ]
    assert found["ST-LPIPS (vgg), mean: perceptual distance, lower is better"] == [
        *head,
        "| **report-text** | 15.0% | 2 | 0.1000 | **0.0500** |",
        "| 0-10 % | 5.0% | 1 | 0.1000 | **0.0500** |",
        "| 20-30 % | 25.0% | 1 |  |  |",
    ]
    sharpness = found["Sharpness, median: gradient energy in the hole over the truth's"]
    assert sharpness[3] == "| 0-10 % | 5.0% | 1 | 0.50 | 1.26 |"
    assert len(found) == 6


def test_equal_values_are_both_the_best() -> None:
    table = tables(summarise(rows({"method": "ours"}, {"method": "Telea"})))
    assert "| **0.0200** | **0.0200** |" in table["L1 on the scale [0, 1], mean"][2]


def test_what_is_not_measured_is_left_out_or_explained() -> None:
    summary = summarise(rows({"stlpips": None}))
    assert not any("ST-LPIPS" in title for title in tables(summary, None))
    assert tables(summary, None, "Why.")["ST-LPIPS"] == ["Why."]
