"""The graph contract: what every ONNX model that this project exports and serves takes and returns.

- `image`: float32 [N,3,H,W], RGB in [0, 1]. Its values inside a hole do not affect the output.
- `mask`: float32 [N,1,H,W], 1 = known, 0 = hole.
- `output`: float32 [N,3,H,W], RGB in [0, 1], composited: known pixels are those of `image`.

N, H and W are dynamic; H and W are at least `MIN_SIZE`.

Outside the model a mask is the opposite: 8-bit, white (128 and above) = hole. In code a boolean hole is called
`hole` and a model mask `known`; `known_from_hole` is the only conversion.
"""

from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Floats = NDArray[np.float32]

MODEL_NAME: Final = "inpaint"
"""Name of the default model: in its metadata, in URLs and of the TorchServe archive."""

IMAGE: Final = "image"
MASK: Final = "mask"
OUTPUT: Final = "output"
INPUTS: Final = (IMAGE, MASK)
CHANNELS: Final = {IMAGE: 3, MASK: 1, OUTPUT: 3}

VALUE_RANGE: Final = (0.0, 1.0)
"""Least and greatest value of `image` and `output`."""
KNOWN: Final = 1.0
HOLE: Final = 0.0
MASK_CONVENTION: Final = "1 = known, 0 = hole"
"""What the values of `mask` mean, as the metadata states it."""

MODEL_SIZE: Final = 178
"""Height and width in pixels that the model is trained on, unless its metadata says otherwise."""
MIN_SIZE: Final = 32
"""Least height and width in pixels that the graph takes."""


class MetadataKey(StrEnum):
    """Keys of the metadata that the exporter writes into an ONNX file."""

    MODEL_NAME = "model_name"
    MODEL_VERSION = "model_version"
    MODEL_SIZE = "model_size"
    MIN_SIZE = "min_size"
    MASK_CONVENTION = "mask_convention"
    PRECISION = "precision"
    CHECKPOINT_SHA256 = "checkpoint_sha256"
    MODEL = "model"
    PROVENANCE = "provenance"


def known_from_hole(hole: Bools) -> Floats:
    """Convert a hole (bool, True = hole) to the values of the graph's `mask` (float32, 1 = known, 0 = hole)."""
    return np.where(hole, np.float32(HOLE), np.float32(KNOWN))
