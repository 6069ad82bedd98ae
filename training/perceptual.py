"""ST-LPIPS, a perceptual distance between pictures (Ghildyal and Liu, "Shift-tolerant LPIPS", ECCV 2022).

LPIPS (Zhang et al., CVPR 2018) compares the features of a network trained on ImageNet, with learned weights for each
channel. The shift-tolerant variant blurs before every downsampling and was trained again, so its values are not
comparable with published LPIPS values. The weights come with the package `stlpips-pytorch`, whose own code needs
torchvision; this module reads the weights only.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Final, Literal

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from training.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Sequence

Backbone = Literal["alex", "vgg"]

PACKAGE = "stlpips-pytorch"
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""Normalisation of RGB in [-1, 1], as in LPIPS."""

STAGES: Final[dict[Backbone, tuple[tuple[str, ...], ...]]] = {
    "alex": (
        ("conv 0", "blur", "relu"),
        ("max 3", "blur", "conv 5", "relu"),
        ("max 3", "blur", "conv 9", "relu"),
        ("conv 11", "relu"),
        ("conv 13", "relu"),
    ),
    "vgg": (
        ("conv 0", "relu", "conv 2", "relu"),
        ("max 2", "blur", "conv 6", "relu", "conv 8", "relu"),
        ("max 2", "blur", "conv 12", "relu", "conv 14", "relu", "conv 16", "relu"),
        ("max 2", "blur", "conv 20", "relu", "conv 22", "relu", "conv 24", "relu"),
        ("max 2", "blur", "conv 28", "relu", "conv 30", "relu", "conv 32", "relu"),
    ),
}
"""Layers of each backbone up to each of its five features; convolutions are numbered as in the weights file."""


class STLPIPS(nn.Module):
    """The distance and the features that it compares, frozen.

    Args:
        backbone: "alex" or "vgg".

    Raises:
        CheckpointError: The package with the weights is not installed, or its file is damaged.
    """

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.stages = STAGES[backbone]
        state = _weights(backbone)
        # Buffers that checkpoints leave out: whoever needs them has the package.
        for stage, layers in enumerate(self.stages, start=1):
            for layer in layers:
                name, _, position = layer.partition(" ")
                if name == "conv":
                    for part in ("weight", "bias"):
                        self._keep(f"{part}{position}", state[f"net.slice{stage}.{position}.{part}"])
            self._keep(f"channels{stage}", state[f"lin{stage - 1}.model.1.weight"])
        self._keep("shift", torch.tensor(SHIFT).reshape(1, 3, 1, 1))
        self._keep("scale", torch.tensor(SCALE).reshape(1, 3, 1, 1))

    def _keep(self, name: str, value: Tensor) -> None:
        self.register_buffer(name, value, persistent=False)

    def features(self, pictures: Tensor) -> list[Tensor]:
        """Return the five feature maps of N3HW pictures in [0, 1]; H and W at least 32."""
        x = (2 * pictures - 1 - self.get_buffer("shift")) / self.get_buffer("scale")
        features = []
        for layers in self.stages:
            for layer in layers:
                x = self._layer(layer, x)
            features.append(x)
        return features

    def _layer(self, layer: str, x: Tensor) -> Tensor:
        name, _, number = layer.partition(" ")
        if name == "relu":
            return F.relu(x)
        if name == "max":
            return F.max_pool2d(x, int(number), 1)
        if name == "blur":
            return blur_pool(x)
        weight, bias = self.get_buffer(f"weight{number}"), self.get_buffer(f"bias{number}")
        padding = 2 if weight.shape[-1] > 3 else 1  # AlexNet's 11×11 and 5×5 convolutions, and the 3×3 ones
        return F.conv2d(x, weight, bias, padding=padding)

    def distance(self, answer: Sequence[Tensor], truth: Sequence[Tensor]) -> Tensor:
        """Return the distances of N pictures from N others, given their `features`; N values of at least 0."""
        total = torch.zeros(len(answer[0]), device=answer[0].device)
        for stage, (a, t) in enumerate(zip(answer, truth, strict=True), start=1):
            squares = (_unit(a) - _unit(t)).square()
            total = total + (squares * self.get_buffer(f"channels{stage}")).sum(1).mean((1, 2))
        return total

    def forward(self, answer: Tensor, truth: Tensor) -> Tensor:
        """Return the distances of N3HW pictures in [0, 1] from N others; N values, 0 for equal pictures."""
        return self.distance(self.features(answer), self.features(truth))


def blur_pool(x: Tensor) -> Tensor:
    """Halve NCHW features after a 3×3 binomial blur (Zhang, "Making Convolutional Networks Shift-Invariant Again")."""
    line = x.new_tensor((0.25, 0.5, 0.25))
    kernel = (line[:, None] * line).expand(x.shape[1], 1, 3, 3)
    return F.conv2d(F.pad(x, (2, 2, 2, 2), mode="reflect"), kernel, stride=2, groups=x.shape[1])


def style_distance(answer: Sequence[Tensor], truth: Sequence[Tensor]) -> Tensor:
    """Return the mean over features of the mean absolute difference of their Gram matrices (Liu et al.), a scalar."""
    return torch.stack(
        [(_gram(a) - _gram(t)).abs().mean() for a, t in zip(answer, truth, strict=True)]
    ).mean()


def _gram(features: Tensor) -> Tensor:
    flat = features.float().flatten(2)
    return flat @ flat.transpose(1, 2) / (flat.shape[1] * flat.shape[2])


def _unit(features: Tensor) -> Tensor:
    """Scale the feature vector of each position to length 1."""
    return features / (features.square().sum(1, keepdim=True) + 1e-12).sqrt()


def _weights(backbone: Backbone) -> dict[str, Tensor]:
    try:
        root = distribution(PACKAGE).locate_file("stlpips_pytorch/weights/vST0.0")
    except PackageNotFoundError as error:
        raise CheckpointError(
            f"ST-LPIPS needs the weights of the package {PACKAGE}: install it with `pip install {PACKAGE}`"
        ) from error
    path = Path(str(root)) / f"{backbone}_shift_tolerant.pth"
    try:
        state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, UnpicklingError) as error:
        raise CheckpointError(
            f"{path} does not hold the weights of ST-LPIPS; install {PACKAGE} again"
        ) from error
    return state
