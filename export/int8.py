"""Static quantisation of a float32 ONNX file to 8-bit convolutions, calibrated on real pictures and masks.

Activations are quantised per tensor and weights per output channel, in the QDQ format that all execution providers
support. Weights use 7 of the 8 bits: x86 processors without VNNI add two products of activations and weights in 16
bits, which would saturate with 8-bit weights. The first fill, the mask coverage, the first convolution (its input is
the picture) and the output convolution stay in float32.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from tqdm import tqdm

from export.errors import ArtifactError
from export.graph_inputs import GraphInputs, graph_inputs
from export.onnx import load_artifact, set_metadata, version
from serving.core.graph import MetadataKey
from training.cases import stack
from training.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Sequence

    from training.cases import Case

NETWORKS = ("model.coarse.", "model.unet.")
"""Prefixes of the networks' weight names in the graph."""
FLOAT_LAYERS = frozenset(
    network + layer
    for network in NETWORKS
    for layer in ("down.0.first.conv.weight", "first.conv.weight", "out.weight")
)
"""Weights of each network's first and last convolution."""
PASSTHROUGH = frozenset({"Add", "Concat", "DepthToSpace", "MaxPool", "Mul", "Relu", "Resize"})
"""Operators that stay in 8 bits between two quantised convolutions."""


class CalibrationCases(CalibrationDataReader):  # type: ignore[misc] # untyped base
    """Provides pictures and masks one at a time, with a progress bar."""

    def __init__(self, cases: Sequence[Case]) -> None:
        self.cases = iter(tqdm(cases, desc="calibrate", unit="picture"))

    def get_next(self) -> GraphInputs | None:
        """Return the next graph inputs, or None at the end."""
        case = next(self.cases, None)
        return None if case is None else graph_inputs(*stack([case]))


def quantise(source: Path, target: Path, cases: Sequence[Case]) -> None:
    """Quantise a float32 artifact of `export.onnx`.

    Args:
        source: The float32 ONNX file.
        target: The ONNX file to write, atomically.
        cases: Cases to measure the activation ranges on.

    Raises:
        ArtifactError: `source` is missing, damaged or not a float32 artifact of this project.
    """
    _, metadata = load_artifact(source)
    if metadata.get(MetadataKey.PRECISION) != "fp32":
        raise ArtifactError(f"{source} is not a float32 artifact; create one with `python -m export onnx`")
    with tempfile.TemporaryDirectory() as folder:
        prepared, quantised = Path(folder, "prepared.onnx"), Path(folder, "quantised.onnx")
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            quantised,
            CalibrationCases(cases),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["Conv", *PASSTHROUGH],
            nodes_to_quantize=_network_nodes(onnx.load(prepared).graph),
        )
        proto = onnx.load(quantised)
    _remove_unused_domains(proto)
    checkpoint = metadata[MetadataKey.CHECKPOINT_SHA256]
    changed = {MetadataKey.PRECISION: "int8", MetadataKey.MODEL_VERSION: version(checkpoint, "int8")}
    set_metadata(proto, metadata | changed)
    write_atomically(target, proto.SerializeToString())


def _remove_unused_domains(proto: onnx.ModelProto) -> None:
    """Remove the operator domains that the quantisation declares but does not use: other runtimes lack them."""
    used = {node.domain for node in proto.graph.node}
    kept = [opset for opset in proto.opset_import if opset.domain in used]
    del proto.opset_import[:]
    proto.opset_import.extend(kept)


def _network_nodes(graph: onnx.GraphProto) -> list[str]:
    """Return the names of the nodes to quantise: the network's convolutions and the operators between them."""
    names: list[str] = []
    features: set[str] = set()
    for node in graph.node:  # in topological order
        weight = node.input[1] if node.op_type == "Conv" else ""
        convolution = weight.startswith(NETWORKS) and weight not in FLOAT_LAYERS
        if convolution or (node.op_type in PASSTHROUGH and features.intersection(node.input)):
            names.append(node.name)
            features.update(node.output)
    return names
