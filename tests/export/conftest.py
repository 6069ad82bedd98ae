"""One tiny network, exported once in every format by the command itself: exporting is slow."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
from exporting import Completed, export_command
from random_networks import SMALL_SPREAD, random_network

from export.__main__ import main
from training.network.model import InpaintingModel
from training.pictures import find_pictures
from training.weights import save_weights

PROVENANCE = {
    "config": {"model": {"network": {"kind": "correction", "width": 4}}},
    "metrics": {"val_psnr": 30.5},
}


@pytest.fixture(scope="session")
def model() -> InpaintingModel:
    """The network that the artifacts are made from: narrow, random, of the kind that ships."""
    return random_network("correction", 4, seed=7, spread=SMALL_SPREAD)


@pytest.fixture(scope="session")
def checkpoint(model: InpaintingModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its weights on disk."""
    path = tmp_path_factory.mktemp("checkpoint") / "tiny.safetensors"
    save_weights(path, model, PROVENANCE)
    return path


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plain folder of 50 crops of scikit-image's astronaut (NASA, public domain), 112×112."""
    folder = tmp_path_factory.mktemp("photos")
    astronaut = cv2.cvtColor(skimage.data.astronaut(), cv2.COLOR_RGB2BGR)  # type: ignore[no-untyped-call]
    rng = np.random.default_rng(0)
    for number in range(50):
        top, left = rng.integers(0, 512 - 112, 2)
        cv2.imwrite(str(folder / f"photo-{number:02}.png"), astronaut[top : top + 112, left : left + 112])
    splits = find_pictures(folder)
    assert min(len(splits.val), len(splits.test)) >= 5
    return folder


@pytest.fixture(scope="session")
def exported(
    checkpoint: Path, photos: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Completed, Path]:
    """`python -m export all`: how it ended, and the folder that it wrote."""
    folder = tmp_path_factory.mktemp("exported")
    completed = export_command("all", checkpoint, "-o", "out", "--data", photos, folder=folder)
    assert completed.returncode == 0, completed.stderr
    return completed, folder / "out"


@pytest.fixture(scope="session")
def fp32(exported: tuple[Completed, Path]) -> Path:
    """The float32 artifact, under this name."""
    return Path(shutil.copy(exported[1] / "tiny.onnx", exported[1].parent / "fp32.onnx"))


@pytest.fixture(scope="session")
def fp16(exported: tuple[Completed, Path]) -> Path:
    """The float16 artifact, under this name."""
    return Path(shutil.copy(exported[1] / "tiny-fp16.onnx", exported[1].parent / "fp16.onnx"))


@pytest.fixture(scope="session")
def int8(exported: tuple[Completed, Path]) -> Path:
    """The 8-bit artifact, under this name."""
    return Path(shutil.copy(exported[1] / "tiny-int8.onnx", exported[1].parent / "int8.onnx"))


@pytest.fixture(scope="session")
def report_model() -> InpaintingModel:
    """The report's network, which has no first fill."""
    return random_network("report", 3, seed=8)


@pytest.fixture(scope="session")
def report_fp32(
    report_model: InpaintingModel, photos: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Its float32 artifact, by `python -m export all --formats onnx`."""
    folder = tmp_path_factory.mktemp("report")
    weights, output = folder / "report.safetensors", folder / "out"
    save_weights(weights, report_model, PROVENANCE)
    assert main(["all", str(weights), "-o", str(output), "--formats", "onnx", "--data", str(photos)]) == 0
    return output / "report.onnx"
