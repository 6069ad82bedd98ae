"""The model that is shipped: the ONNX file is its checkpoint's, computes what PyTorch computes, and fills well."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean

import cv2
import numpy as np
import onnxruntime
import pytest
import skimage.data
from engines import MODEL, ROOT
from sample_pictures import face

from export.onnx import load_artifact
from export.parity import check
from export.probes import probes_of
from export.verdicts import TOLERANCES
from training.classical import CLASSICAL
from training.files import sha256
from training.masks import report_text
from training.metrics import psnr, ssim
from training.weights import load_weights

WEIGHTS = MODEL.with_suffix(".safetensors")

# (top, left, side) on the portrait, 512×512: the face, near and far, and what is around it.
CROPS = ((11, 131, 178), (45, 150, 128), (0, 90, 260), (0, 0, 512), (250, 40, 200))

SEEDS = range(8)
"""Of the masks over the face."""


@pytest.fixture(scope="module")
def metadata() -> dict[str, str]:
    return load_artifact(MODEL)[1]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Crops of scikit-image's astronaut: NASA, public domain."""
    folder = tmp_path_factory.mktemp("astronaut")
    portrait = cv2.cvtColor(skimage.data.astronaut(), cv2.COLOR_RGB2BGR)  # type: ignore[no-untyped-call]
    files = [folder / f"{number}.png" for number in range(len(CROPS))]
    for file, (top, left, side) in zip(files, CROPS, strict=True):
        cv2.imwrite(str(file), portrait[top : top + side, left : left + side])
    return files


def test_the_artifact_is_made_from_the_checkpoint_beside_it(metadata: dict[str, str]) -> None:
    digest = sha256(WEIGHTS)
    model, provenance = load_weights(WEIGHTS)
    assert metadata["checkpoint_sha256"] == digest
    assert metadata["precision"] == "fp32"
    assert metadata["model_version"] == f"{digest[:12]}-fp32"
    assert json.loads(metadata["model"]) == model.settings()
    assert json.loads(metadata["provenance"]) == provenance


def test_it_says_where_it_comes_from_and_names_no_place_of_the_machine(metadata: dict[str, str]) -> None:
    provenance = json.loads(metadata["provenance"])
    runs = [part["provenance"] for part in provenance["average_of"]]
    assert len(runs) == 2
    for origin in (provenance, *runs):
        assert re.fullmatch("[0-9a-f]{40}", origin["git_commit"])
    for run in runs:
        assert {"model", "data", "trainer"} <= set(run["config"])
        assert run["metrics"]["val_psnr"] > 0
    assert [text for text in strings_of(provenance) if text.startswith(("/", "~"))] == []
    for file in (MODEL, WEIGHTS):
        content = file.read_bytes()
        for place in (ROOT, Path.home(), sys.prefix):
            assert str(place).encode() not in content


def strings_of(value: object) -> Iterator[str]:
    """Every string in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for entry in value.values() if isinstance(value, dict) else value:
            yield from strings_of(entry)


@pytest.mark.slow
def test_it_computes_what_pytorch_computes(photos: list[Path]) -> None:
    (verdict,) = check(WEIGHTS, [MODEL], probes_of(photos))
    assert verdict.failures == ()
    assert verdict.tolerance == TOLERANCES["fp32"]
    assert verdict.tolerance.max_error == 1e-4
    errors = {comparison.probe: comparison.max_error for comparison in verdict.comparisons}
    assert 0 < max(errors.values()) <= 1e-4
    assert verdict.sha256 == sha256(MODEL)


def test_it_fills_a_face_better_than_methods_without_learning() -> None:
    """By the margins that make it worth serving: in dB of PSNR, and in SSIM, means over the masks.

    Measured when it was made: 2.9 dB and 0.034 over Telea, 3.0 dB and 0.034 over Navier-Stokes, 1.6 dB and 0.013
    over biharmonic interpolation.
    """
    session = onnxruntime.InferenceSession(MODEL)
    picture = face()
    image = picture.transpose(2, 0, 1)[np.newaxis].astype(np.float32) / 255
    quality: dict[str, list[tuple[float, float]]] = {name: [] for name in ("ours", *CLASSICAL)}
    for seed in SEEDS:
        mask = report_text(np.random.default_rng(seed), *picture.shape[:2])
        known = (mask == 0)[np.newaxis, np.newaxis].astype(np.float32)
        (output,) = session.run(["output"], {"image": image, "mask": known})
        answers = {"ours": np.rint(output[0].transpose(1, 2, 0) * 255).astype(np.uint8)}
        assert np.array_equal(answers["ours"][mask == 0], picture[mask == 0])
        answers |= {name: method(picture, mask) for name, method in CLASSICAL.items()}
        for name, answer in answers.items():
            composited = np.where(mask[..., np.newaxis] > 0, answer, picture)
            quality[name].append((psnr(picture, composited), ssim(picture, composited)))
    means = {name: [fmean(column) for column in zip(*rows, strict=True)] for name, rows in quality.items()}
    for name, decibels, similarity in (
        ("Telea", 2.0, 0.02),
        ("Navier-Stokes", 2.0, 0.02),
        ("biharmonic", 1.0, 0.005),
    ):
        assert means["ours"][0] > means[name][0] + decibels
        assert means["ours"][1] > means[name][1] + similarity
