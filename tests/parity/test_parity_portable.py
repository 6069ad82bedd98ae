"""The shipped models use nothing that runtimes other than ONNX Runtime lack, even at the smallest size they take."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from engines import FLOAT_MODEL, MODEL
from onnx import NodeProto

from export.onnx import load_artifact
from serving.core.graph import IMAGE, MASK, MIN_SIZE

POOLINGS = ("AveragePool", "MaxPool")
SHAPES = ((MIN_SIZE, MIN_SIZE), (33, 47))


def problems(proto: onnx.ModelProto, height: int, width: int) -> list[str]:
    """What OpenVINO, OpenCV or TensorRT would refuse in a graph that takes an image of this size."""
    found = [f"operators of {opset.domain}" for opset in proto.opset_import if opset.domain]
    windows = [node for node in proto.graph.node if node.op_type in ("Conv", *POOLINGS)]
    sizes = sizes_of(proto, {node.input[0] for node in windows}, height, width)
    weights = {tensor.name: tensor.dims for tensor in proto.graph.initializer}
    for node in windows:
        attributes = {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}
        if attributes.get("ceil_mode"):
            found.append(f"{node.name} has ceil_mode")
        kernel = attributes.get("kernel_shape") or weights[node.input[1]][2:]
        pads = attributes.get("pads", (0, 0, 0, 0))
        data = [size + pads[axis] + pads[axis + 2] for axis, size in enumerate(sizes[node.input[0]])]
        if any(k > size for k, size in zip(kernel, data, strict=True)):
            found.append(f"{node.name} has a kernel of {list(kernel)} on padded data of {data}")
    return found


def sizes_of(proto: onnx.ModelProto, names: set[str], height: int, width: int) -> dict[str, tuple[int, int]]:
    """Height and width of some tensors, for an image of this size."""
    watched = onnx.ModelProto()
    watched.CopyFrom(proto)
    watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in sorted(names))
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(watched.SerializeToString(), options)
    mask = np.ones((1, 1, height, width), np.float32)
    mask[..., 8:20, 8:20] = 0
    arrays = session.run(sorted(names), {IMAGE: np.full((1, 3, height, width), 0.5, np.float32), MASK: mask})
    return {name: array.shape[2:] for name, array in zip(sorted(names), arrays, strict=True)}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("model", [MODEL, FLOAT_MODEL], ids=lambda model: model.stem)
def test_other_runtimes_have_what_the_graph_uses(model: Path, shape: tuple[int, int]) -> None:
    assert problems(load_artifact(model)[0], *shape) == []


def ceil_mode(pooling: NodeProto) -> None:
    (attribute,) = (entry for entry in pooling.attribute if entry.name == "ceil_mode")
    attribute.i = 1


def wide_kernel(pooling: NodeProto) -> None:
    (kernel,) = (entry for entry in pooling.attribute if entry.name == "kernel_shape")
    kernel.ints[:] = [MIN_SIZE + 1] * 2


@pytest.mark.parametrize(
    ("damage", "words"), [(ceil_mode, "ceil_mode"), (wide_kernel, f"kernel of [{MIN_SIZE + 1}, ")]
)
def test_what_they_lack_is_found(damage: Callable[[NodeProto], None], words: str) -> None:
    proto, _ = load_artifact(FLOAT_MODEL)
    pooling = next(node for node in proto.graph.node if node.op_type == "MaxPool")
    damage(pooling)
    # Remove everything after it, which the damage would break.
    last = list(proto.graph.node).index(pooling)
    del proto.graph.node[last + 1 :], proto.graph.output[:]
    (problem,) = problems(proto, MIN_SIZE, MIN_SIZE)
    assert pooling.name in problem
    assert words in problem
