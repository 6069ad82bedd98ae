"""GridSample for ONNX's reference evaluator, against its own and ONNX Runtime's."""

import numpy as np
import onnxruntime
import pytest
from onnx import ModelProto, TensorProto, helper
from onnx.reference import ReferenceEvaluator

from export.grid_sample import GridSample


def model(padding_mode: str = "zeros") -> ModelProto:
    node = helper.make_node(
        "GridSample", ["x", "g"], ["y"], align_corners=0, mode="linear", padding_mode=padding_mode
    )
    shapes: dict[str, list[str | int | None]] = {
        "x": ["n", 3, "h", "w"],
        "g": ["n", "a", "b", 2],
        "y": ["n", 3, "a", "b"],
    }
    x, g, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, s) for name, s in shapes.items())
    graph = helper.make_graph([node], "sample", [x, g], [y])
    return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])


@pytest.mark.parametrize("seed", range(3))
def test_it_equals_the_slow_one_and_onnx_runtime(seed: int) -> None:
    random = np.random.default_rng(seed)
    inputs = {
        "x": random.random((2, 3, 5, 7), np.float32),
        "g": random.uniform(-1.3, 1.3, (2, 4, 6, 2)).astype(np.float32),
    }
    (answer,) = ReferenceEvaluator(model(), new_ops=[GridSample]).run(None, inputs)
    (slow,) = ReferenceEvaluator(model()).run(None, inputs)
    (wanted,) = onnxruntime.InferenceSession(model().SerializeToString()).run(None, inputs)
    for other in (slow, wanted):
        np.testing.assert_allclose(np.asarray(answer), np.asarray(other), atol=1e-5)


def test_other_modes_are_refused() -> None:
    inputs = {"x": np.zeros((1, 3, 2, 2), np.float32), "g": np.zeros((1, 1, 1, 2), np.float32)}
    with pytest.raises(NotImplementedError, match="padding_mode='border'"):
        ReferenceEvaluator(model("border"), new_ops=[GridSample]).run(None, inputs)
