"""One tiny network, exported once in every precision by the command itself: the exporter takes long."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
from exporting import Completed, export_command
from random_networks import SMALL_SPREAD, random_network
from torch_threads import one_thread as one_thread  # for every test here

from export.onnx import export_onnx
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
def fp32_export(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Completed, Path]:
    """`python -m export onnx`: how it ended, and the folder that it ran in."""
    folder = tmp_path_factory.mktemp("fp32")
    return export_command("onnx", checkpoint, "-o", "fp32.onnx", folder=folder), folder


@pytest.fixture(scope="session")
def fp32(fp32_export: tuple[Completed, Path]) -> Path:
    """The float32 artifact."""
    completed, folder = fp32_export
    assert completed.returncode == 0, completed.stderr
    return folder / "fp32.onnx"


@pytest.fixture(scope="session")
def report_model() -> InpaintingModel:
    """The report's network, which has no first fill."""
    return random_network("report", 3, seed=8)


@pytest.fixture(scope="session")
def report_fp32(report_model: InpaintingModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its float32 artifact."""
    folder = tmp_path_factory.mktemp("report")
    save_weights(folder / "report.safetensors", report_model, PROVENANCE)
    export_onnx(folder / "report.safetensors", folder / "report.onnx")
    return folder / "report.onnx"


@pytest.fixture(scope="session")
def fp16(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The float16 artifact."""
    folder = tmp_path_factory.mktemp("fp16")
    completed = export_command("onnx", checkpoint, "--fp16", "-o", "fp16.onnx", folder=folder)
    assert completed.returncode == 0, completed.stderr
    return folder / "fp16.onnx"


@pytest.fixture(scope="session")
def int8_export(fp32: Path, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Completed, Path]:
    """`python -m export int8`: how it ended, and the folder that it ran in."""
    folder = tmp_path_factory.mktemp("int8")
    arguments = ("int8", fp32, "--data", photos, "--count", "5", "-o", "int8.onnx")
    return export_command(*arguments, folder=folder), folder


@pytest.fixture(scope="session")
def int8(int8_export: tuple[Completed, Path]) -> Path:
    """The 8-bit artifact."""
    completed, folder = int8_export
    assert completed.returncode == 0, completed.stderr
    return folder / "int8.onnx"
