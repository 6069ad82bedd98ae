"""Export of a checkpoint to ONNX in float32 or float16, with dynamic batch size, height and width."""

from __future__ import annotations

import json
import logging
import warnings
from typing import TYPE_CHECKING, Any, Literal

import onnx
import torch

from export.errors import ArtifactError
from export.inference_model import InferenceModel
from serving.core.graph import (
    INPUTS,
    MASK_CONVENTION,
    MIN_SIZE,
    MODEL_NAME,
    MODEL_SIZE,
    OUTPUT,
    MetadataKey,
)
from training.files import sha256, write_atomically
from training.weights import load_weights

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

Precision = Literal["fp32", "fp16", "int8"]

OPSET = 20
MAX_BATCH, MAX_SIDE = 1024, 1 << 14
"""Upper bounds of the dynamic dimensions, for the exporter."""


def export_onnx(weights: Path, target: Path, *, fp16: bool = False) -> None:
    """Export a checkpoint to ONNX.

    The graph takes `image` float32 [N, 3, H, W] in [0, 1] and `mask` float32 [N, 1, H, W] with 1 = known, and
    returns `output` float32 [N, 3, H, W] in [0, 1], composited. N, H and W are dynamic; H and W are at least 32.

    Args:
        weights: Safetensors of `training.weights`.
        target: The ONNX file to write, atomically.
        fp16: Run the network in float16; inputs and outputs stay float32.

    Raises:
        CheckpointError: `weights` is missing or damaged.
    """
    model, provenance = load_weights(weights)
    graph = InferenceModel(model, torch.float16 if fp16 else torch.float32)
    example = torch.zeros(2, 3, MODEL_SIZE, MODEL_SIZE), torch.ones(2, 1, MODEL_SIZE, MODEL_SIZE)
    proto = to_onnx(graph, dict(zip(INPUTS, example, strict=True)), OUTPUT, MIN_SIZE)
    precision: Precision = "fp16" if fp16 else "fp32"
    set_metadata(proto, metadata(weights, provenance, model.settings(), precision))
    onnx.checker.check_model(proto, full_check=True)
    write_atomically(target, proto.SerializeToString())


def to_onnx(network: nn.Module, inputs: dict[str, Tensor], output: str, min_side: int) -> onnx.ModelProto:
    """Trace a network to an ONNX graph in which batch size, height and width are dynamic.

    Args:
        network: Takes NCHW tensors and returns one.
        inputs: An example of each input, by its name in the graph and in `network.forward`.
        output: The output's name in the graph.
        min_side: Minimum height and width.
    """
    dims = {
        0: torch.export.Dim("batch", min=1, max=MAX_BATCH),
        2: torch.export.Dim("height", min=min_side, max=MAX_SIDE),
        3: torch.export.Dim("width", min=min_side, max=MAX_SIDE),
    }
    with warnings.catch_warnings():
        # The exporter warns about its own internals; the parity check covers the graph's results.
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            network,
            tuple(inputs.values()),
            input_names=list(inputs),
            output_names=[output],
            dynamic_shapes=dict.fromkeys(inputs, dims),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None  # noqa: S101 (dynamo=True returns one)
    return program.model_proto


def metadata(
    weights: Path, provenance: dict[str, Any], settings: dict[str, object], precision: Precision
) -> dict[str, str]:
    """Return an artifact's metadata."""
    digest = sha256(weights)
    return {
        MetadataKey.MODEL_NAME: MODEL_NAME,
        MetadataKey.MODEL_VERSION: version(digest, precision),
        MetadataKey.MODEL_SIZE: str(MODEL_SIZE),
        MetadataKey.MIN_SIZE: str(MIN_SIZE),
        MetadataKey.MASK_CONVENTION: MASK_CONVENTION,
        MetadataKey.PRECISION: precision,
        MetadataKey.CHECKPOINT_SHA256: digest,
        MetadataKey.MODEL: json.dumps(settings),
        MetadataKey.PROVENANCE: json.dumps(provenance),
    }


def version(checkpoint_sha256: str, precision: Precision) -> str:
    """Return an artifact's version: its checkpoint's hash and its precision."""
    return f"{checkpoint_sha256[:12]}-{precision}"


def load_artifact(artifact: Path) -> tuple[onnx.ModelProto, dict[str, str]]:
    """Read an ONNX file and its metadata.

    Raises:
        ArtifactError: The file is missing or not an ONNX file.
    """
    try:
        proto = onnx.load(artifact)
    except Exception as error:  # onnx raises various exceptions for a damaged file
        raise ArtifactError(f"{artifact} cannot be opened as ONNX: {error}") from error
    return proto, {entry.key: entry.value for entry in proto.metadata_props}


def set_metadata(proto: onnx.ModelProto, entries: dict[str, str]) -> None:
    """Replace a model's metadata and remove the exporter's notes, which contain paths of the build machine."""
    del proto.metadata_props[:]
    for key, value in entries.items():
        proto.metadata_props.add(key=key, value=value)
    graph = proto.graph
    for part in (graph, *graph.node, *graph.initializer, *graph.input, *graph.output, *graph.value_info):
        del part.metadata_props[:]
        part.ClearField("doc_string")
