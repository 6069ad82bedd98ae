"""Export to ONNX of the network that finds marks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import onnx
import torch
from torch import Tensor, nn

from export.onnx import set_metadata, to_onnx
from serving.core.graph import MetadataKey
from serving.core.marks import IMAGE, MARKS
from training.files import sha256, write_atomically
from training.marks import CROP, load_marks_network
from training.network.marks_unet import MULTIPLE, MarksUNet

if TYPE_CHECKING:
    from pathlib import Path


class _Probability(nn.Module):
    def __init__(self, network: MarksUNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        probability: Tensor = self.network(image).sigmoid()
        return probability


def export_marks(weights: Path, target: Path) -> None:
    """Export the network to ONNX.

    The graph takes `image` float32 [N, 3, H, W] in [0, 1] and returns `marks` float32 [N, 1, H, W], each pixel's
    probability of belonging to a mark. N, H and W are dynamic.

    Args:
        weights: Safetensors file written by `python -m training marks`.
        target: The ONNX file to write, atomically.

    Raises:
        CheckpointError: `weights` is missing or damaged.
    """
    network, provenance = load_marks_network(weights)
    proto = to_onnx(_Probability(network), {IMAGE: torch.zeros(2, 3, CROP, CROP)}, MARKS, MULTIPLE)
    metadata: dict[str, str] = {
        MetadataKey.CHECKPOINT_SHA256: sha256(weights),
        MetadataKey.PROVENANCE: json.dumps(provenance),
    }
    set_metadata(proto, metadata)
    onnx.checker.check_model(proto, full_check=True)
    write_atomically(target, proto.SerializeToString())
