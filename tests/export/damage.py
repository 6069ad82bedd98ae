"""Artifacts damaged as exporters and people have damaged them; each keeps the intact one's metadata."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from export.onnx import load_artifact


def perturbed_weight(source: Path, target: Path, factor: float = 1.05) -> Path:
    """One convolution's weight is a little too large."""
    proto, _ = load_artifact(source)
    _scale(proto, {"model.unet.first.conv.weight"}, factor)
    return _save(proto, target)


def without_clamps(source: Path, target: Path) -> Path:
    """Divisions by the known share are no longer guarded, as when an exporter drops a small epsilon."""
    proto, _ = load_artifact(source)
    bounds = {node.input[1] for node in proto.graph.node if node.op_type == "Clip" and node.input[1]}
    guards = {
        tensor.name
        for tensor in proto.graph.initializer
        if tensor.name in bounds and 0 < numpy_helper.to_array(tensor) < 0.01
    }
    assert guards
    _scale(proto, guards, 0.0)
    return _save(proto, target)


def touched_known_pixels(source: Path, target: Path) -> Path:
    """Every pixel is too bright by a few units in the last place, far below what the eye or a tolerance notices."""
    return _appended(source, target, "Mul", np.float32(1 + 2.0**-22))


def transposed(source: Path, target: Path) -> Path:
    """Height and width of the answer are swapped."""
    return _appended(source, target, "Transpose", perm=[0, 1, 3, 2])


def louder_correction(source: Path, target: Path, factor: float) -> Path:
    """The network's correction is several times too strong."""
    proto, _ = load_artifact(source)
    _scale(proto, _output_layer(proto), factor)
    return _save(proto, target)


def fixed_size(source: Path, target: Path, side: int = 178) -> Path:
    """The graph takes pictures of one size, as when dynamic axes are forgotten."""
    proto, _ = load_artifact(source)
    for value in proto.graph.input:
        for dimension in value.type.tensor_type.shape.dim[2:]:
            dimension.dim_value = side
    return _save(proto, target)


def _output_layer(proto: onnx.ModelProto) -> set[str]:
    """Names of the last convolution's weight and bias; the exporter shares biases that are equal."""
    (layer,) = (node for node in proto.graph.node if "model.unet.out.weight" in node.input)
    return set(layer.input[1:])


def _scale(proto: onnx.ModelProto, names: set[str], factor: float) -> None:
    found = [tensor for tensor in proto.graph.initializer if tensor.name in names]
    assert {tensor.name for tensor in found} == names
    for tensor in found:
        value = numpy_helper.to_array(tensor)
        tensor.CopyFrom(numpy_helper.from_array(value * value.dtype.type(factor), tensor.name))


def _appended(source: Path, target: Path, operator: str, *constants: np.float32, **attributes: Any) -> Path:
    """Put one more operator between the graph and its output."""
    proto, _ = load_artifact(source)
    (last,) = (node for node in proto.graph.node if "output" in node.output)
    last.output[0] = "before"
    names = [f"constant_{number}" for number in range(len(constants))]
    proto.graph.initializer.extend(
        numpy_helper.from_array(np.asarray(value), name) for name, value in zip(names, constants, strict=True)
    )
    proto.graph.node.append(helper.make_node(operator, ["before", *names], ["output"], **attributes))
    return _save(proto, target)


def _save(proto: onnx.ModelProto, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(proto, target)
    return target
