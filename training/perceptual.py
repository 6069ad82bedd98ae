"""VGG-16's features, and the perceptual and the style term over them (Liu et al., section 3.3)."""

from __future__ import annotations

from pickle import UnpicklingError
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from training.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

STAGES = ((0, 2), (5, 7), (10, 12, 14))
"""Positions of the convolutions in torchvision's `features`, up to the first, second and third pooling."""
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
"""Of ImageNet's RGB channels in [0, 1], which VGG-16 was trained on."""


class VGGFeatures(nn.Module):
    """Features after VGG-16's first three poolings (Simonyan and Zisserman, 2015), frozen.

    Args:
        path: torchvision's VGG-16 weights, a `.pth` file; only its `features` are read, and no code is unpickled.

    Raises:
        CheckpointError: The file is missing or holds something else.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        if not path.is_file():
            raise CheckpointError(f"there are no VGG-16 weights {path}; torchvision's file is asked for")
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            kernels = {
                n: (state[f"features.{n}.weight"], state[f"features.{n}.bias"]) for s in STAGES for n in s
            }
        except (OSError, EOFError, LookupError, TypeError, RuntimeError, UnpicklingError) as error:
            raise CheckpointError(f"{path} does not hold torchvision's VGG-16 weights") from error
        for number, (weight, bias) in kernels.items():
            # Buffers that no checkpoint keeps: everyone who needs them has the file.
            self.register_buffer(f"weight{number}", weight, persistent=False)
            self.register_buffer(f"bias{number}", bias, persistent=False)
        self.register_buffer("mean", torch.tensor(MEAN).reshape(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(DEVIATION).reshape(1, 3, 1, 1), persistent=False)

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """Return the features of N3HW pictures in [0, 1] after each of the three poolings."""
        x = (pictures - self.get_buffer("mean")) / self.get_buffer("deviation")
        features = []
        for stage in STAGES:
            for number in stage:
                weight, bias = self.get_buffer(f"weight{number}"), self.get_buffer(f"bias{number}")
                x = F.relu(F.conv2d(x, weight, bias, padding=1))
            x = F.max_pool2d(x, 2)
            features.append(x)
        return features


def perceptual_loss(answer: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
    """Return the sum over stages of the mean absolute differences of features, a scalar."""
    return torch.stack([(a - w).abs().mean() for a, w in zip(answer, wanted, strict=True)]).sum()


def style_loss(answer: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
    """Return the sum over stages of the mean absolute differences of the features' Gram matrices, a scalar."""
    return perceptual_loss([_gram(a) for a in answer], [_gram(w) for w in wanted])


def _gram(features: Tensor) -> Tensor:
    flat = features.float().flatten(2)
    return flat @ flat.transpose(1, 2) / (flat.shape[1] * flat.shape[2])
