"""Time of one 178×178 picture in eager PyTorch, with the report's code and with ours, and in ONNX Runtime."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
import torch

from benchmarks.literal_network import LiteralUNet
from benchmarks.sample import png, sample
from benchmarks.timing import Timing, time_in_turns
from export.graph_inputs import graph_inputs
from export.int8 import quantise
from export.onnx import export_onnx
from training.cases import Case
from training.network.model import InpaintingModel, ModelConfig
from training.weights import load_weights, save_weights

if TYPE_CHECKING:
    from collections.abc import Callable

    from export.graph_inputs import GraphInputs

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
    picture, mask = sample()
    inputs = graph_inputs(picture[np.newaxis], mask[np.newaxis])
    model, _ = load_weights(weights)
    ways: dict[str, Callable[[], object]] = {
        name: _eager(network, inputs) for name, network in {**others, EAGER: model}.items()
    }
    with tempfile.TemporaryDirectory() as folder:
        fp32, int8, photo = Path(folder, "fp32.onnx"), Path(folder, "int8.onnx"), Path(folder, "photo.png")
        export_onnx(weights, fp32)
        # The speed of the 8-bit model does not depend on how well it was calibrated.
        photo.write_bytes(png(picture))
        quantise(fp32, int8, [Case(photo, "report-text", (0, 0))])
        ways |= {"ONNX Runtime, float32": _onnx(fp32, inputs, threads)}
        ways |= {"ONNX Runtime, int8": _onnx(int8, inputs, threads)}
        return time_in_turns(ways, rounds, title)


def _eager(network: torch.nn.Module, inputs: GraphInputs) -> Callable[[], object]:
    image, mask = torch.from_numpy(inputs["image"]), torch.from_numpy(inputs["mask"])

    def run() -> object:
        with torch.inference_mode():
            return network(image, mask)

    return run


def _onnx(artifact: Path, inputs: GraphInputs, threads: int) -> Callable[[], object]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(artifact), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, inputs)
