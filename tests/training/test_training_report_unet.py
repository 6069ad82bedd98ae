"""The report's network, layer by layer as in the report's table."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from training.network.model import InpaintingModel, ModelConfig
from training.network.report_unet import PartialConvUNet

REPORT_TABLE = (
    # layer, output channels × height × width, parameters
    ("down.0.conv1", (64, 178, 178), 1_728),
    ("down.0.norm1", (64, 178, 178), 128),
    ("down.0.conv2", (64, 178, 178), 36_864),
    ("down.0.norm2", (64, 178, 178), 128),
    ("down.1.conv1", (128, 89, 89), 73_728),
    ("down.1.norm1", (128, 89, 89), 256),
    ("down.1.conv2", (128, 89, 89), 147_456),
    ("down.1.norm2", (128, 89, 89), 256),
    ("down.2.conv1", (256, 44, 44), 294_912),
    ("down.2.norm1", (256, 44, 44), 512),
    ("down.2.conv2", (256, 44, 44), 589_824),
    ("down.2.norm2", (256, 44, 44), 512),
    ("down.3.conv1", (512, 22, 22), 1_179_648),
    ("down.3.norm1", (512, 22, 22), 1_024),
    ("down.3.conv2", (512, 22, 22), 2_359_296),
    ("down.3.norm2", (512, 22, 22), 1_024),
    ("down.4.conv1", (1024, 11, 11), 4_718_592),
    ("down.4.norm1", (1024, 11, 11), 2_048),
    ("down.4.conv2", (1024, 11, 11), 9_437_184),
    ("down.4.norm2", (1024, 11, 11), 2_048),
    ("up.0.up", (512, 22, 22), 2_097_664),
    ("up.0.block.conv1", (512, 22, 22), 4_718_592),
    ("up.0.block.norm1", (512, 22, 22), 1_024),
    ("up.0.block.conv2", (512, 22, 22), 2_359_296),
    ("up.0.block.norm2", (512, 22, 22), 1_024),
    ("up.1.up", (256, 44, 44), 524_544),
    ("up.1.block.conv1", (256, 44, 44), 1_179_648),
    ("up.1.block.norm1", (256, 44, 44), 512),
    ("up.1.block.conv2", (256, 44, 44), 589_824),
    ("up.1.block.norm2", (256, 44, 44), 512),
    ("up.2.up", (128, 88, 88), 131_200),
    ("up.2.block.conv1", (128, 89, 89), 294_912),
    ("up.2.block.norm1", (128, 89, 89), 256),
    ("up.2.block.conv2", (128, 89, 89), 147_456),
    ("up.2.block.norm2", (128, 89, 89), 256),
    ("up.3.up", (64, 178, 178), 32_832),
    ("up.3.block.conv1", (64, 178, 178), 73_728),
    ("up.3.block.norm1", (64, 178, 178), 128),
    ("up.3.block.conv2", (64, 178, 178), 36_864),
    ("up.3.block.norm2", (64, 178, 178), 128),
    ("out", (3, 178, 178), 195),
)
REPORT_PARAMETERS = 31_037_763
REPORT_GMAC = 26.12


def trace(network: PartialConvUNet, size: int) -> list[tuple[str, nn.Module, Tensor, Tensor]]:
    """Run a 3-channel network on PyTorch's meta device; list its layers' inputs and outputs in order of execution."""
    calls: list[tuple[str, nn.Module, Tensor, Tensor]] = []

    def record(name: str) -> Any:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Any) -> None:
            calls.append((name, module, inputs[0], output[0] if isinstance(output, tuple) else output))

        return hook

    names = {name for name, _, _ in REPORT_TABLE}
    for name, module in network.named_modules():
        if name in names:
            module.register_forward_hook(record(name))
    network(torch.empty(1, 3, size, size, device="meta"), torch.empty(1, 1, size, size, device="meta"))
    return calls


@pytest.fixture(scope="module")
def report_calls() -> list[tuple[str, nn.Module, Tensor, Tensor]]:
    with torch.device("meta"):
        network = PartialConvUNet(64)
    return trace(network, 178)


def test_every_layer_is_the_reports(report_calls: list[tuple[str, nn.Module, Tensor, Tensor]]) -> None:
    layers = [
        (name, tuple(output.shape[1:]), sum(p.numel() for p in module.parameters()))
        for name, module, _, output in report_calls
    ]
    assert layers == list(REPORT_TABLE)


def test_the_report_has_31_037_763_parameters() -> None:
    with torch.device("meta"):
        model = InpaintingModel(ModelConfig())
    assert sum(p.numel() for p in model.parameters()) == REPORT_PARAMETERS
    assert sum(parameters for _, _, parameters in REPORT_TABLE) == REPORT_PARAMETERS


def test_the_report_costs_26_gmac(report_calls: list[tuple[str, nn.Module, Tensor, Tensor]]) -> None:
    """As model summaries count it: every weight and bias of a convolution once for each pixel of its output.

    For transposed convolutions of stride 2 that is four times the work done; counted exactly, it is 23.0 GMAC.
    """
    summary = done = 0
    for _, module, x, y in report_calls:
        layer = getattr(module, "conv", module)
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            pixels = x[0, 0].numel() if isinstance(layer, nn.ConvTranspose2d) else y[0, 0].numel()
            done += layer.weight.numel() * pixels
            summary += sum(p.numel() for p in layer.parameters()) * y[0, 0].numel()
    assert summary / 1e9 == pytest.approx(REPORT_GMAC, rel=0.01)
    assert done / 1e9 == pytest.approx(23.0, rel=0.01)


@pytest.mark.parametrize("width", [1, 2, 16, 32])
def test_width_scales_every_layer(width: int) -> None:
    with torch.device("meta"):
        calls = trace(PartialConvUNet(width), 178)
    expected = [
        (name, (channels if name == "out" else channels * width // 64, height, columns))
        for name, (channels, height, columns), _ in REPORT_TABLE
    ]
    assert [(name, tuple(y.shape[1:])) for name, _, _, y in calls] == expected
