"""The exported graph keeps its contract, says what it is, and computes what PyTorch computes."""

from __future__ import annotations

import getpass
import json
import re
import sys
from pathlib import Path
from typing import TypeAlias

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from exporting import ROOT, initializers_of, metadata_of, run, session_of
from hypothesis import given, settings
from hypothesis import strategies as st
from random_networks import HOLES, holes, pictures

from export.errors import ArtifactError
from export.onnx import load_artifact
from export.verdicts import TOLERANCES
from training.files import sha256
from training.network.model import InpaintingModel
from training.weights import load_weights

Session: TypeAlias = onnxruntime.InferenceSession


@pytest.fixture(scope="module")
def session(fp32: Path) -> Session:
    return session_of(fp32)


@pytest.fixture(scope="module")
def sessions(session: Session, fp16: Path, int8: Path) -> dict[str, Session]:
    """A session for each precision."""
    return {"fp32": session, "fp16": session_of(fp16), "int8": session_of(int8)}


@pytest.fixture(scope="module")
def report_session(report_fp32: Path) -> Session:
    return session_of(report_fp32)


# --- what the file says ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_the_graph_contract(precision: str, request: pytest.FixtureRequest) -> None:
    proto, _ = load_artifact(request.getfixturevalue(precision))
    onnx.checker.check_model(proto, full_check=True)
    assert [opset.version for opset in proto.opset_import if opset.domain == ""] == [20]
    dimensions = {}
    for value in (*proto.graph.input, *proto.graph.output):
        tensor = value.type.tensor_type
        assert tensor.elem_type == onnx.TensorProto.FLOAT
        dimensions[value.name] = [d.dim_param or d.dim_value for d in tensor.shape.dim]
    assert list(dimensions) == ["image", "mask", "output"]
    batch, three, height, width = dimensions["image"]
    assert three == 3
    assert all(isinstance(d, str) for d in (batch, height, width))  # named, so of any size
    assert len({batch, height, width}) == 3
    assert dimensions["mask"] == [batch, 1, height, width]
    assert dimensions["output"] == [batch, 3, height, width]


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_the_metadata(precision: str, request: pytest.FixtureRequest, checkpoint: Path) -> None:
    digest = sha256(checkpoint)
    metadata = dict(metadata_of(request.getfixturevalue(precision)))
    provenance = json.loads(metadata.pop("provenance"))
    assert provenance == load_weights(checkpoint)[1]
    assert provenance["metrics"] == {"val_psnr": 30.5}
    assert json.loads(metadata.pop("model")) == {"kind": "correction", "width": 4}
    assert metadata == {
        "model_name": "inpaint",
        "model_version": f"{digest[:12]}-{precision}",
        "model_size": "178",
        "min_size": "32",
        "mask_convention": "1 = known, 0 = hole",
        "precision": precision,
        "checkpoint_sha256": digest,
    }


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_the_file_reveals_nothing_about_the_machine(precision: str, request: pytest.FixtureRequest) -> None:
    artifact: Path = request.getfixturevalue(precision)
    content = artifact.read_bytes()
    for place in (ROOT, sys.prefix, Path.home(), artifact.parent, Path(onnxruntime.__file__).parent):
        assert str(place).encode() not in content
    if (user := getpass.getuser()) != "root":
        assert user.encode() not in content
    assert re.findall(rb"[\w/.-]+\.(?:py|safetensors)\b", content) == []
    assert b"pkg.torch" not in content  # the exporter's notes


# --- what the graph computes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("hole", HOLES)
@pytest.mark.parametrize(
    ("kind", "count", "height", "width"),
    [
        ("", 1, 32, 32),
        ("", 1, 31 * 32 + 1, 63),
        ("report_", 1, 32, 32),
        ("", 5, 33, 47),
        ("", 1, 101, 70),
        ("", 2, 64, 96),
        # Without a first fill whole windows are unknown, and stay so through several layers.
        ("report_", 1, 178, 178),
        ("report_", 5, 47, 33),
    ],
)
@torch.inference_mode()
def test_parity_with_pytorch(
    kind: str, hole: str, count: int, height: int, width: int, request: pytest.FixtureRequest
) -> None:
    session, model = request.getfixturevalue(f"{kind}session"), request.getfixturevalue(f"{kind}model")
    image, mask = pictures(count, height, width, seed=2), holes(hole, count, height, width, seed=2)
    np.testing.assert_allclose(
        run(session, image, mask), model(image, mask).numpy(), rtol=0, atol=TOLERANCES["fp32"].max_error
    )


@torch.inference_mode()
def test_the_comparisons_above_see_the_network(session: Session, report_session: Session) -> None:
    """The two networks' answers differ from each other hundreds of times more than parity allows."""
    image, mask = pictures(2, 64, 96, seed=2), holes("mixed", 2, 64, 96, seed=2)
    hole = (mask == 0).expand_as(image).numpy()
    one, other = run(session, image, mask)[hole], run(report_session, image, mask)[hole]
    assert np.abs(one - other).mean() > 500 * TOLERANCES["fp32"].max_error
    for answer in (one, other):
        assert ((answer > 0) & (answer < 1)).mean() > 0.95
        assert answer.std() > 0.03


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 10**6),
    height=st.integers(32, 75),
    width=st.integers(32, 75),
    count=st.integers(1, 3),
    rubbish=st.sampled_from([float("nan"), float("inf"), -float("inf"), -7.5, 1e30]),
)
@torch.inference_mode()
def test_known_pixels_and_what_is_under_the_hole(
    sessions: dict[str, Session],
    precision: str,
    seed: int,
    height: int,
    width: int,
    count: int,
    rubbish: float,
) -> None:
    """The former come back bit for bit; the latter changes no bit."""
    session = sessions[precision]
    image, mask = pictures(count, height, width, seed), holes("mixed", count, height, width, seed)
    answer = run(session, image, mask)
    known = (mask > 0).expand_as(image).numpy()
    assert np.array_equal(answer[known], image.numpy()[known])
    assert answer.min() >= 0
    assert answer.max() <= 1
    spoilt = run(session, torch.where(mask > 0, image, rubbish), mask)
    assert np.array_equal(answer, spoilt)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_a_batch_equals_single_runs(precision: str, request: pytest.FixtureRequest) -> None:
    session = session_of(request.getfixturevalue(precision))
    image, mask = pictures(5, 57, 70, seed=4), holes("mixed", 5, 57, 70, seed=4)
    singles = [run(session, one[None], hole[None]) for one, hole in zip(image, mask, strict=True)]
    np.testing.assert_allclose(run(session, image, mask), np.concatenate(singles), rtol=0, atol=2e-6)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_an_empty_mask_answers_the_picture(precision: str, request: pytest.FixtureRequest) -> None:
    image, mask = pictures(2, 40, 51), holes("empty", 2, 40, 51)
    assert np.array_equal(run(session_of(request.getfixturevalue(precision)), image, mask), image.numpy())


# --- float16 ---------------------------------------------------------------------------------------------------


@torch.inference_mode()
def test_half_precision_keeps_its_tolerance(fp16: Path, model: InpaintingModel) -> None:
    session = session_of(fp16)
    for hole in HOLES:
        image, mask = pictures(2, 101, 70, seed=5), holes(hole, 2, 101, 70, seed=5)
        error = np.abs(run(session, image, mask) - model(image, mask).numpy()).max()
        assert error <= TOLERANCES["fp16"].max_error
        assert error > 1e-6 or hole == "empty"  # it is not the float32 graph under another name


def test_half_precision_computes_the_network_in_float16(fp32: Path, fp16: Path) -> None:
    proto, _ = load_artifact(fp16)
    constants = initializers_of(proto)
    weights = {name: c for name, c in initializers_of(load_artifact(fp32)[0]).items() if _of_network(name)}
    assert len(weights) > 40
    for name, weight in weights.items():
        assert constants[name].dtype == np.float16
        np.testing.assert_array_equal(constants[name], weight.astype(np.float16))
    typed = onnx.shape_inference.infer_shapes(proto, data_prop=True)
    types = {value.name: value.type.tensor_type.elem_type for value in typed.graph.value_info}
    convolutions = [node for node in proto.graph.node if node.op_type == "Conv"]
    inside = {types[node.output[0]] for node in convolutions if _of_network(node.input[1])}
    first_fill = {types[node.output[0]] for node in convolutions if not _of_network(node.input[1])}
    assert inside == {onnx.TensorProto.FLOAT16}
    assert first_fill == {onnx.TensorProto.FLOAT}
    assert fp16.stat().st_size < 0.75 * fp32.stat().st_size


def _of_network(constant: str) -> bool:
    return constant.startswith("model.unet.")


# --- what cannot be read ---------------------------------------------------------------------------------------


def test_a_file_that_is_no_artifact_is_a_typed_error(tmp_path: Path, fp32: Path) -> None:
    with pytest.raises(ArtifactError, match=r"missing\.onnx cannot be opened"):
        load_artifact(tmp_path / "missing.onnx")
    garbage = tmp_path / "garbage.onnx"
    garbage.write_bytes(fp32.read_bytes()[:-1000])
    with pytest.raises(ArtifactError, match=r"garbage\.onnx cannot be opened"):
        load_artifact(garbage)
