"""The exported graph's inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from serving.core.graph import IMAGE, MASK
from training.transforms import to_model

if TYPE_CHECKING:
    from training.masks import Mask
    from training.pictures import Image

GraphInputs = dict[str, NDArray[np.float32]]
"""The graph's inputs by name, see `serving.core.graph`."""


def graph_inputs(images: Image, masks: Mask) -> GraphInputs:
    """Convert pictures and masks to the graph's inputs.

    Args:
        images: NHWC uint8 RGB in [0, 255].
        masks: NHW uint8, 128 and above = hole.
    """
    image, mask = to_model(torch.from_numpy(images), torch.from_numpy(masks))
    return {IMAGE: image.contiguous().numpy(), MASK: mask.contiguous().numpy()}
