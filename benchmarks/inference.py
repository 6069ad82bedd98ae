"""How long one 178×178 picture takes: eager PyTorch, as the report has it and as we have it, and ONNX Runtime."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import onnxruntime
import torch
from skimage.data import astronaut

from benchmarks.literal_network import LiteralUNet
from benchmarks.timing import Timing, time_in_turns
from export.int8 import quantise
from export.onnx import export_onnx
from training.cases import Case
from training.masks import report_text
from training.model import MODEL_SIZE, InpaintingModel, ModelConfig
from training.weights import load_weights, save_weights

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

EAGER = "eager PyTorch"
LITERAL = "eager PyTorch, literal"


def full_size(threads: int, rounds: int) -> list[Timing]:
    """Time the report's full-size network with random weights."""
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder, "random.safetensors")
        save_weights(weights, InpaintingModel(ModelConfig(width=64)), {})
        return _time(weights, {LITERAL: LiteralUNet(64).eval()}, threads, rounds, "full size")


def shipped(weights: Path, threads: int, rounds: int) -> list[Timing]:
    """Time a trained network."""
    return _time(weights, {}, threads, rounds, "checkpoint")


def _time(
    weights: Path, others: dict[str, torch.nn.Module], threads: int, rounds: int, title: str
) -> list[Timing]:
    torch.set_num_threads(threads)
    image, mask = _picture()
    model, _ = load_weights(weights)
    ways: dict[str, Callable[[], object]] = {
        name: _eager(network, image, mask) for name, network in {**others, EAGER: model}.items()
    }
    with tempfile.TemporaryDirectory() as folder:
        fp32, int8, photo = Path(folder, "fp32.onnx"), Path(folder, "int8.onnx"), Path(folder, "photo.png")
        export_onnx(weights, fp32)
        # How fast 8 bits are does not depend on how well they were calibrated.
        cv2.imwrite(str(photo), cv2.cvtColor(np.asarray(astronaut()), cv2.COLOR_RGB2BGR))  # type: ignore[no-untyped-call]
        quantise(fp32, int8, [Case(photo, "report-text", (0, 0))])
        ways |= {"ONNX Runtime, float32": _onnx(fp32, image, mask, threads)}
        ways |= {"ONNX Runtime, int8": _onnx(int8, image, mask, threads)}
        return time_in_turns(ways, rounds, title)


def _picture() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    photo = np.asarray(astronaut(), np.float32)[:MODEL_SIZE, 128 : 128 + MODEL_SIZE] / np.float32(255)  # type: ignore[no-untyped-call]
    mask = report_text(np.random.default_rng(0), MODEL_SIZE, MODEL_SIZE) == 0
    return photo.transpose(2, 0, 1)[np.newaxis].copy(), mask[np.newaxis, np.newaxis].astype(np.float32)


def _eager(
    network: torch.nn.Module, image: NDArray[np.float32], mask: NDArray[np.float32]
) -> Callable[[], object]:
    inputs = torch.from_numpy(image), torch.from_numpy(mask)

    def run() -> object:
        with torch.inference_mode():
            return network(*inputs)

    return run


def _onnx(
    artifact: Path, image: NDArray[np.float32], mask: NDArray[np.float32], threads: int
) -> Callable[[], object]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(artifact), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"image": image, "mask": mask})
