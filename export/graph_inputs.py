"""Inputs of the exported graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from training.transforms import to_model

if TYPE_CHECKING:
    from training.masks import Mask
    from training.pictures import Image

GraphInputs = dict[str, NDArray[np.float32]]
"""`image`, N3HW in [0, 1], and `mask`, N1HW with 1 = known and 0 = hole."""


def graph_inputs(images: Image, masks: Mask) -> GraphInputs:
    """Convert pictures and masks to graph inputs.

    Args:
        images: NHWC uint8 RGB in [0, 255].
        masks: NHW uint8, 128 and above = hole.
    """
    image, mask = to_model(torch.from_numpy(images), torch.from_numpy(masks))
    return {"image": image.contiguous().numpy(), "mask": mask.contiguous().numpy()}
