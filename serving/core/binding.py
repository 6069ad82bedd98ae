"""Bind a description to a graph: which input is the image and which the mask, and their types and sizes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from serving.core.graph import (
    CHANNELS,
    DESCRIBED_SIZE,
    IMAGE,
    MASK,
    OUTPUT,
    ChannelOrder,
    Description,
    DType,
    ImageFacts,
    MaskFacts,
    Range,
    TensorFacts,
)

_DTYPES: dict[str, DType] = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(uint8)": "uint8",
    "tensor(bool)": "bool",
}
_FLOATS = ("float32", "float16")
_AXES = "[N,C,H,W]"


class Node(Protocol):
    """An input or output of a graph, as ONNX Runtime describes it."""

    name: str
    type: str
    shape: list[int | str | None]


class Mismatch(Exception):  # noqa: N818 (caught where it becomes a ModelFileError)
    """The graph does not agree with a description; the message says how."""


@dataclass(frozen=True)
class Tensor:
    """One bound input or output.

    Attributes:
        name: its name in the graph.
        dtype: its data type.
    """

    name: str
    dtype: DType


@dataclass(frozen=True)
class ColourTensor(Tensor):
    """The bound image or output.

    Attributes:
        range: the values of black and white; None for an output whose range must be measured.
        order: the order of the colour channels.
    """

    range: Range | None
    order: ChannelOrder


@dataclass(frozen=True)
class Binding:
    """Everything that is needed to run a graph.

    Attributes:
        description: the name of the description.
        image: the image input.
        mask: the mask input.
        hole: the mask's value of a pixel to fill.
        known: the mask's value of every other pixel.
        output: the filled image.
        composited: whether known pixels of the output are those of the image.
        side: height and width in pixels of the windows that the graph is given.
        fixed: the graph's height and width in pixels if they are fixed, or else None.
        fixed_batch: whether the graph takes one image at a time.
        multiple_of: height and width must be a multiple of this.
        min_size: minimum height and width in pixels.
    """

    description: str
    image: ColourTensor
    mask: Tensor
    hole: float
    known: float
    output: ColourTensor
    composited: bool
    side: int
    fixed: tuple[int, int] | None
    fixed_batch: bool
    multiple_of: int
    min_size: int


def bind(description: Description, inputs: Sequence[Node], outputs: Sequence[Node]) -> Binding:
    """Bind a description to a graph's inputs and outputs.

    Raises:
        Mismatch: the graph does not agree with the description, or the description leaves something open that
            cannot be read from the graph.
    """
    if len(inputs) != 2:
        raise Mismatch(f"it takes {len(inputs)} inputs instead of two, an image and a mask")
    image = _find(IMAGE, description.image, inputs)
    mask = _find(MASK, description.mask, inputs)
    output = _find(OUTPUT, description.output, outputs)
    if image is mask:
        raise Mismatch(f"'{image.name}' cannot be both the image and the mask")
    fixed = _fixed_size(image)
    if _fixed_size(mask) != fixed:
        raise Mismatch(f"'{image.name}' and '{mask.name}' differ in height or width")
    mask_dtype = _dtype(MASK, description.mask, mask)
    return Binding(
        description=description.name,
        image=_colours(IMAGE, description.image, image),
        mask=Tensor(mask.name, mask_dtype),
        hole=description.mask.hole,
        known=_known(description.mask, mask_dtype, mask),
        output=_colours(OUTPUT, description.output, output),
        composited=description.output.composited,
        side=_side(description.size, fixed),
        fixed=fixed,
        fixed_batch=_batch(image),
        multiple_of=description.multiple_of,
        min_size=description.min_size,
    )


def _find(tensor: str, facts: TensorFacts, nodes: Sequence[Node]) -> Node:
    """Return the input or output that is named, or else the only one with the right number of channels."""
    channels = CHANNELS[tensor]
    if isinstance(facts.name, int):
        if not 0 <= facts.name < len(nodes):
            raise Mismatch(f"there is nothing at position {facts.name}, given for the {tensor}")
        node = nodes[facts.name]
    elif facts.name is not None:
        named = [node for node in nodes if node.name == facts.name]
        if not named:
            raise Mismatch(f"the {tensor} must be named '{facts.name}'")
        node = named[0]
    else:
        fitting = [node for node in nodes if len(node.shape) == 4 and node.shape[1] == channels]
        if len(fitting) != 1:
            how_many = "none" if not fitting else "more than one"
            raise Mismatch(f"the {tensor} must be {_AXES} with {channels} channels, and {how_many} is")
        node = fitting[0]
    if len(node.shape) != 4 or (isinstance(node.shape[1], int) and node.shape[1] != channels):
        raise Mismatch(f"the {tensor} '{node.name}' must be {_AXES} with {channels} channels")
    return node


def _dtype(tensor: str, facts: TensorFacts, node: Node) -> DType:
    dtype = _DTYPES.get(node.type)
    if dtype is None or (dtype == "bool" and tensor != MASK):
        raise Mismatch(f"the {tensor} '{node.name}' must be float32, float16 or uint8, not {node.type}")
    if facts.dtype is not None and dtype != facts.dtype and not (facts.dtype == "float" and dtype in _FLOATS):
        raise Mismatch(f"the {tensor} '{node.name}' must be {facts.dtype}")
    return dtype


def _colours(tensor: str, facts: ImageFacts, node: Node) -> ColourTensor:
    dtype = _dtype(tensor, facts, node)
    value_range = facts.range
    if value_range is None and dtype == "uint8":
        value_range = (0.0, 255.0)
    elif value_range is None and tensor == IMAGE:
        value_range = (0.0, 1.0)
    return ColourTensor(node.name, dtype, value_range, facts.order)


def _known(facts: MaskFacts, dtype: DType, node: Node) -> float:
    known = facts.known
    if known is None:
        known = 0.0 if facts.hole else 255.0 if dtype == "uint8" else 1.0
    most = {"uint8": 255, "bool": 1}.get(dtype)
    if most is not None and not all(value in range(most + 1) for value in (facts.hole, known)):
        raise Mismatch(f"the values of the {dtype} mask '{node.name}' must be integers from 0 to {most}")
    return known


def _fixed_size(node: Node) -> tuple[int, int] | None:
    height, width = node.shape[2:]
    if isinstance(height, int) and isinstance(width, int):
        return height, width
    if isinstance(height, int) or isinstance(width, int):
        raise Mismatch(f"'{node.name}' has only one of height and width fixed: both or neither must be")
    return None


def _batch(node: Node) -> bool:
    batch = node.shape[0]
    if isinstance(batch, int) and batch != 1:
        raise Mismatch(
            f"'{node.name}' takes {batch} images at a time: export it with a batch size of 1 or a dynamic one"
        )
    return isinstance(batch, int)


def _side(size: int | Literal["fixed"] | None, fixed: tuple[int, int] | None) -> int:
    if fixed is None:
        if size == "fixed":
            raise Mismatch("height and width must be fixed")
        return DESCRIBED_SIZE if size is None else size
    if isinstance(size, int) and fixed != (size, size):
        raise Mismatch(f"height and width must be dynamic, or {size}")
    return min(fixed)
