"""Real ONNX graphs with the signatures of LaMa's exports and of MI-GAN's pipeline: small stand-ins for their weights.

Each fills the hole with the mean of the known pixels. A wrong mask polarity, range or order of inputs therefore shows.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

Dims = tuple[int | str, int | str, int | str]  # batch, height, width
DYNAMIC: Dims = ("n", "h", "w")


@dataclass(frozen=True)
class Signature:
    """The facts of a graph.

    Attributes:
        dims: batch, height and width.
        image: name of the image; its type is `dtype`.
        mask: name of the mask.
        output: name of the output.
        dtype: FLOAT, FLOAT16 or UINT8.
        scale: the output's value for white, where the image's is `white`.
        white: the image's value for white.
        offset: what is added to the image's and the output's values: -1 with a white of 2 for [-1, 1].
        hole: the mask's value for a pixel to fill.
        known: the mask's value for every other pixel.
        mask_first: whether the mask is the first input.
    """

    dims: Dims = (1, 512, 512)
    image: str = "image"
    mask: str = "mask"
    output: str = "output"
    dtype: int = TensorProto.FLOAT
    white: float = 1
    scale: float = 1
    offset: float = 0
    hole: float = 1
    known: float = 0
    mask_first: bool = False


LAMA_255 = Signature(scale=255)
LAMA_1 = Signature(image="l_image_", mask="l_mask_", output="painted_image")
MIGAN = Signature(
    dims=DYNAMIC, output="result", dtype=TensorProto.UINT8, white=255, scale=255, hole=0, known=255
)


def mean_filler(signature: Signature, **metadata: str) -> onnx.ModelProto:
    """A graph of this signature that fills the hole with the mean of the known pixels."""
    s = signature
    batch, height, width = s.dims
    node = helper.make_node
    constants = {
        "hole_value": s.hole,
        "span": s.known - s.hole,
        "offset": s.offset,
        "white": s.white,
        "scale": s.scale,
        "one": 1.0,
        "half": 0.5 if s.dtype == TensorProto.UINT8 else 0.0,
    }
    nodes = [
        node("Cast", [s.image], ["pixels"], to=TensorProto.FLOAT),
        node("Cast", [s.mask], ["values"], to=TensorProto.FLOAT),
        # known = (values - hole) / (known - hole); unit = (pixels - offset) / white
        node("Sub", ["values", "hole_value"], ["above"]),
        node("Div", ["above", "span"], ["known"]),
        node("Sub", ["pixels", "offset"], ["from_black"]),
        node("Div", ["from_black", "white"], ["unit"]),
        node("Mul", ["unit", "known"], ["seen"]),
        node("ReduceSum", ["seen", "axes"], ["total"], keepdims=1),
        node("ReduceSum", ["known", "axes"], ["counted"], keepdims=1),
        node("Max", ["counted", "one"], ["count"]),
        node("Div", ["total", "count"], ["mean"]),
        node("Sub", ["one", "known"], ["hole"]),
        node("Mul", ["mean", "hole"], ["filling"]),
        node("Add", ["seen", "filling"], ["filled"]),
        node("Mul", ["filled", "scale"], ["scaled"]),
        node("Add", ["scaled", "offset"], ["shifted"]),
        node("Add", ["shifted", "half"], ["rounded"]),
        node("Cast", ["rounded"], [s.output], to=s.dtype),
    ]
    inputs = [
        helper.make_tensor_value_info(s.image, s.dtype, [batch, 3, height, width]),
        helper.make_tensor_value_info(s.mask, s.dtype, [batch, 1, height, width]),
    ]
    graph = helper.make_graph(
        nodes,
        "mean_filler",
        inputs[::-1] if s.mask_first else inputs,
        [helper.make_tensor_value_info(s.output, s.dtype, [batch, 3, height, width])],
        [
            *(helper.make_tensor(name, TensorProto.FLOAT, [], [value]) for name, value in constants.items()),
            helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, metadata)
    return model


def save_mean_filler(
    path: Path, signature: Signature, description: str | None = None, **metadata: str
) -> Path:
    """Write such a graph, and a description beside it if there is one. Return the graph's path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(mean_filler(signature, **metadata), path)
    if description is not None:
        path.with_suffix(".yaml").write_text(description)
    return path


def mean_of_known(photo: NDArray[np.uint8], hole: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return HW3 uint8: what such a graph makes of a photo that fits into one window."""
    filled = photo.copy()
    filled[hole] = np.rint(photo[~hole].mean(axis=0))
    return filled
