"""ONNX graphs for inpainting: the contract of this project's own graphs, and descriptions of others.

The graph contract, which every ONNX model that this project exports follows:

- `image`: float32 [N,3,H,W], RGB in [0, 1]. Its values inside a hole do not affect the output.
- `mask`: float32 [N,1,H,W], 1 = known, 0 = hole.
- `output`: float32 [N,3,H,W], RGB in [0, 1], composited: known pixels are those of `image`.

N, H and W are dynamic; H and W are at least `MIN_SIZE`.

Outside the model a mask is the opposite: 8-bit, white (128 and above) = hole. In code a boolean hole is called
`hole` and a model mask `known`; `known_from_hole` is the only conversion.

Graphs of other projects differ in names, data types, value ranges, mask polarity and size. A `Description` states
these facts, `serving.core.description` finds it for a model file, and `serving.core.adapter` runs the graph under the
contract above.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Floats = NDArray[np.float32]

MODEL_NAME: Final = "inpaint"
"""Name of the default model in its metadata and in URLs, and of the TorchServe archive."""

IMAGE: Final = "image"
MASK: Final = "mask"
OUTPUT: Final = "output"
INPUTS: Final = (IMAGE, MASK)
CHANNELS: Final = {IMAGE: 3, MASK: 1, OUTPUT: 3}

Range = tuple[float, float]
"""The values of black and of white."""

VALUE_RANGE: Final = (0.0, 1.0)
"""Minimum and maximum value of `image` and `output`."""
KNOWN: Final = 1.0
HOLE: Final = 0.0
MASK_CONVENTION: Final = "1 = known, 0 = hole"
"""What the values of `mask` mean, as the metadata states it."""

MODEL_SIZE: Final = 178
"""Height and width in pixels that the model is trained on, unless its metadata says otherwise."""
MIN_SIZE: Final = 32
"""Minimum height and width in pixels that the graph takes."""


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
    GRAPH = "graph"
    """A description in YAML, for graphs that do not follow the contract."""


def known_from_hole(hole: Bools) -> Floats:
    """Convert a hole (bool, True = hole) to the values of the graph's `mask` (float32, 1 = known, 0 = hole)."""
    return np.where(hole, np.float32(HOLE), np.float32(KNOWN))


DType = Literal["float32", "float16", "uint8", "bool"]
StatedDType = Literal["float", "float32", "float16", "uint8", "bool"]
"""A data type as a description states it; `float` is float32 or float16."""
ChannelOrder = Literal["RGB", "BGR"]


@dataclass(frozen=True, kw_only=True)
class TensorFacts:
    """What a description states about one tensor. None: it is read from the graph.

    Attributes:
        name: the tensor's name, or its position, from 0.
        dtype: its data type.
    """

    name: str | int | None = None
    dtype: StatedDType | None = None


@dataclass(frozen=True, kw_only=True)
class ImageFacts(TensorFacts):
    """What a description states about the image.

    Attributes:
        range: the values of black and white; by default [0, 1], and [0, 255] for uint8.
        order: the order of the colour channels.
    """

    range: Range | None = None
    order: ChannelOrder = "RGB"


@dataclass(frozen=True, kw_only=True)
class MaskFacts(TensorFacts):
    """What a description states about the mask.

    Attributes:
        hole: the value of a pixel to fill.
        known: the value of every other pixel; by default 0, or if 0 is a hole, 1 (255 for uint8).
    """

    hole: float
    known: float | None = None


@dataclass(frozen=True, kw_only=True)
class OutputFacts(ImageFacts):
    """What a description states about the output. Without a range, a float output's is measured at startup.

    Attributes:
        composited: whether known pixels of the output are those of the image.
    """

    composited: bool = False


@dataclass(frozen=True, kw_only=True)
class Description:
    """The facts about a graph that cannot be read from it, and those that it must agree with.

    Attributes:
        name: what to call the description in messages.
        image: the image input.
        mask: the mask input.
        output: the filled image.
        size: height and width in pixels of the windows that the graph is given, "fixed" for the graph's own fixed
            size, or None for that if it has one, or else `DESCRIBED_SIZE`.
        multiple_of: height and width must be a multiple of this.
        min_size: minimum height and width in pixels.
    """

    name: str
    image: ImageFacts = field(default_factory=ImageFacts)
    mask: MaskFacts
    output: OutputFacts = field(default_factory=OutputFacts)
    size: int | Literal["fixed"] | None = None
    multiple_of: int = 1
    min_size: int = 1


DESCRIBED_SIZE: Final = 512
"""Window size in pixels of a graph with dynamic size whose description states none."""

CONTRACT: Final = Description(
    name=MODEL_NAME,
    image=ImageFacts(name=IMAGE, dtype="float32", range=VALUE_RANGE),
    mask=MaskFacts(name=MASK, dtype="float32", hole=HOLE, known=KNOWN),
    output=OutputFacts(name=OUTPUT, dtype="float32", range=VALUE_RANGE, composited=True),
    size=MODEL_SIZE,
    min_size=MIN_SIZE,
)
"""The graph contract, as a description."""
