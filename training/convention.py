"""The model's convention for pictures and masks, and the one place where the files' convention becomes it.

Outside the model: pictures NHWC uint8 RGB, masks 255 = hole. Inside: N3HW float in [0, 1], masks 1 = known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

Batch = tuple[Tensor, Tensor]
"""Pictures, N3HW float32 in [0, 1], and masks, N1HW float32 with 1 = known: the model's own convention."""


def to_model(images: Tensor, masks: Tensor) -> Batch:
    """Turn a batch over to the model's convention.

    Args:
        images: NHWC uint8 RGB in [0, 255].
        masks: NHW uint8, 128 and more = hole.

    Returns:
        N3HW float32 in [0, 1] and N1HW float32 with 1 = known, 0 = hole.
    """
    return images.permute(0, 3, 1, 2).float() / 255, (masks < 128).float().unsqueeze(1)


def to_pictures(images: Tensor) -> NDArray[np.uint8]:
    """Turn N3HW float in [0, 1] back into NHWC uint8 RGB pictures in the host's memory."""
    return (images * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
