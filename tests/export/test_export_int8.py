"""The 8-bit artifact: what is quantised, what must stay float, and what it cannot be made from."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from exporting import initializers_of, metadata_of, run, session_of
from random_networks import HOLES, SMALL_SPREAD, holes, pictures

from export.__main__ import main
from export.errors import ArtifactError
from export.int8 import CalibrationCases, quantise
from export.onnx import load_artifact, set_metadata
from export.verdicts import TOLERANCES
from training.cases import cases_of
from training.errors import DataError
from training.network.correction_unet import pad
from training.network.model import InpaintingModel
from training.network.smooth_fill import MULTIPLES_OF_32, smooth_fill

BLOCKS = {"encoder": (1, 1, 1, 2, 3), "decoder": (1, 1, 1, 2)}
"""Residual blocks of each level."""
RESIDUAL = {
    f"model.unet.{half}.{level}.{block}.{conv}.weight"
    for half, counts in BLOCKS.items()
    for level, count in enumerate(counts)
    for block in range(count)
    for conv in ("conv1", "conv2")
}
FLOAT = {"model.unet.first.conv.weight", "model.unet.out.weight"}
QUANTISED = RESIDUAL | {f"model.unet.{way}.{level}.weight" for way in ("down", "up") for level in range(4)}


@pytest.fixture(scope="module")
def proto(int8: Path) -> onnx.ModelProto:
    return load_artifact(int8)[0]


def convolutions(proto: onnx.ModelProto) -> list[tuple[onnx.NodeProto, onnx.NodeProto | None]]:
    """Every convolution with the node that dequantises its weight, if one does."""
    producers = {output: node for node in proto.graph.node for output in node.output}
    return [(node, producers.get(node.input[1])) for node in proto.graph.node if node.op_type == "Conv"]


def test_the_networks_weights_are_8_bits_per_channel(proto: onnx.ModelProto, fp32: Path) -> None:
    constants, originals = initializers_of(proto), initializers_of(load_artifact(fp32)[0])
    seen = set()
    for _, dequantise in convolutions(proto):
        if dequantise is None:
            continue
        assert dequantise.op_type == "DequantizeLinear"
        quantised, scale, zero = (constants[name] for name in dequantise.input)
        name = dequantise.input[0].removesuffix("_quantized")
        assert quantised.dtype == np.int8
        assert not zero.any()
        assert scale.shape == quantised.shape[:1]  # per output channel
        restored = quantised.astype(np.float32) * scale[:, None, None, None]
        steps = np.abs(restored - originals[name]) / scale[:, None, None, None]
        assert steps.max() <= 0.501
        seen.add(name)
    assert seen >= QUANTISED
    assert not seen & FLOAT


def test_products_of_two_weights_and_activations_fit_into_16_bits(proto: onnx.ModelProto) -> None:
    """Without VNNI, x86 processors add two products at a time and saturate."""
    constants = initializers_of(proto)
    weights = [
        constants[dequantise.input[0]] for _, dequantise in convolutions(proto) if dequantise is not None
    ]
    assert max(np.abs(weight.astype(int)).max() for weight in weights) == 64
    assert np.iinfo(np.int16).max >= 2 * 64 * 255


def test_activations_are_8_bits_too(proto: onnx.ModelProto) -> None:
    constants = initializers_of(proto)
    producers = {output: node for node in proto.graph.node for output in node.output}
    for convolution, dequantise in convolutions(proto):
        if dequantise is not None:
            activation = producers[convolution.input[0]]
            assert activation.op_type == "DequantizeLinear"
            assert constants[activation.input[2]].dtype == np.uint8


def test_no_operators_specific_to_onnx_runtime_are_declared(proto: onnx.ModelProto) -> None:
    assert [opset.domain for opset in proto.opset_import] == [""]


def test_onnx_runtime_runs_8_bit_kernels(int8: Path, tmp_path: Path) -> None:
    """The file's dequantise, convolve, quantise becomes one kernel for each of the 34 convolutions."""
    optimised = tmp_path / "optimised.onnx"
    level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    session_of(int8, optimized_model_filepath=str(optimised), graph_optimization_level=level)
    kernels = [node for node in onnx.load(optimised).graph.node if node.op_type == "QLinearConv"]
    weights = {node.input[3].removesuffix("_quantized") for node in kernels}
    assert len(QUANTISED) == 34
    assert weights >= QUANTISED


def test_the_first_fill_stays_in_float(int8: Path, proto: onnx.ModelProto) -> None:
    """Without the network's correction the artifact returns the first fill, to float32's rounding."""
    silent = onnx.ModelProto()
    silent.CopyFrom(proto)
    (last,) = (node for node in silent.graph.node if "model.unet.out.weight" in node.input)
    for tensor in silent.graph.initializer:
        if tensor.name in last.input[1:]:
            tensor.CopyFrom(onnx.numpy_helper.from_array(0 * onnx.numpy_helper.to_array(tensor), tensor.name))
    session = onnxruntime.InferenceSession(silent.SerializeToString())
    for hole in HOLES:
        image, mask = pictures(2, 101, 70, seed=6), holes(hole, 2, 101, 70, seed=6)
        fill = smooth_fill(pad(image * mask), pad(mask), MULTIPLES_OF_32)[..., :101, :70]
        expected = torch.where(mask > 0, image, fill)
        np.testing.assert_allclose(run(session, image, mask), expected.numpy(), rtol=0, atol=1e-5)


@torch.inference_mode()
def test_it_stays_near_pytorch(int8: Path, model: InpaintingModel) -> None:
    session = session_of(int8)
    for hole in HOLES:
        image, mask = pictures(2, 101, 70, seed=7), holes(hole, 2, 101, 70, seed=7)
        error = np.abs(run(session, image, mask) - model(image, mask).numpy())
        assert error.max() <= TOLERANCES["int8"].max_error
        if hole != "empty":
            filled = error[(mask == 0).expand_as(image).numpy()]
            assert 1e-5 < filled.mean() < SMALL_SPREAD / 5


def test_the_reports_network_is_quantised_too(report_fp32: Path, photos: Path, tmp_path: Path) -> None:
    """All but its first and its last layer."""
    target = tmp_path / "int8.onnx"
    quantise(report_fp32, target, cases_of(photos, "val", ["report-text"], 2))
    names = {
        dequantise.input[0].removesuffix("_quantized")
        for _, dequantise in convolutions(load_artifact(target)[0])
        if dequantise is not None
    }
    down = {f"model.unet.down.{n}.{conv}.conv.weight" for n in range(5) for conv in ("first", "second")}
    up = {f"model.unet.up.{n}.block.{conv}.conv.weight" for n in range(4) for conv in ("first", "second")}
    first = {"model.unet.down.0.first.conv.weight"}
    assert names >= (down - first) | up | {f"model.unet.up.{n}.up.weight" for n in range(4)}
    assert not names & (first | {"model.unet.out.weight"})


def test_it_is_smaller(int8: Path, fp32: Path) -> None:
    """The weights shrink to a quarter; this network is so small that the graph takes as much space as they do."""
    assert int8.stat().st_size < fp32.stat().st_size


def test_the_command_shows_its_progress_and_leaves_one_file(
    fp32: Path,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["int8", str(fp32), "--data", str(photos), "--count", "1", "-o", "int8.onnx"]) == 0
    said = capsys.readouterr()
    assert said.out == "written: int8.onnx\n"
    assert "calibrate: 100%" in said.err
    assert "5/5" in said.err  # one picture under five kinds of masks
    assert list(tmp_path.iterdir()) == [tmp_path / "int8.onnx"]


def test_calibration_sees_what_the_graph_takes(photos: Path) -> None:
    cases = cases_of(photos, "val", ["report-text", "free-form"], 2)
    reader = CalibrationCases(cases)
    for case in cases:
        picture, mask = case.load()
        inputs = reader.get_next()
        assert inputs is not None
        assert {name: (array.shape, array.dtype) for name, array in inputs.items()} == {
            "image": ((1, 3, 178, 178), np.dtype(np.float32)),
            "mask": ((1, 1, 178, 178), np.dtype(np.float32)),
        }
        expected = picture.transpose(2, 0, 1).astype(np.float32) / np.float32(255)
        np.testing.assert_array_equal(inputs["image"][0], expected)
        np.testing.assert_array_equal(inputs["mask"][0, 0], mask == 0)
        assert 0 < mask.mean() < 255
    assert reader.get_next() is None


# --- what it refuses -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_only_a_float32_artifact_can_be_quantised(
    precision: str, request: pytest.FixtureRequest, photos: Path, tmp_path: Path
) -> None:
    source: Path = request.getfixturevalue(precision)
    with pytest.raises(ArtifactError, match=rf"{precision}\.onnx is not a float32 artifact"):
        quantise(source, tmp_path / "out.onnx", cases_of(photos, "val", ["report-text"], 1))
    assert list(tmp_path.iterdir()) == []


def test_a_stranger_is_refused(fp32: Path, photos: Path, tmp_path: Path) -> None:
    proto, _ = load_artifact(fp32)
    set_metadata(proto, {})
    stranger = tmp_path / "stranger.onnx"
    onnx.save(proto, stranger)
    cases = cases_of(photos, "val", ["report-text"], 1)
    with pytest.raises(ArtifactError, match=r"stranger\.onnx is not a float32 artifact"):
        quantise(stranger, tmp_path / "out.onnx", cases)
    with pytest.raises(ArtifactError, match=r"missing\.onnx cannot be opened"):
        quantise(tmp_path / "missing.onnx", tmp_path / "out.onnx", cases)
    assert list(tmp_path.iterdir()) == [stranger]


def test_a_failure_leaves_the_old_file(int8: Path, fp32: Path, photos: Path, tmp_path: Path) -> None:
    """Calibration stops at a picture that has become unreadable."""
    data, target = tmp_path / "data", tmp_path / "out" / "int8.onnx"
    shutil.copytree(photos, data)
    target.parent.mkdir()
    shutil.copy(int8, target)
    cases = cases_of(data, "val", ["report-text"], 2)
    Path(str(cases[1].file)).write_bytes(b"no picture")
    with pytest.raises(DataError, match="cannot be decoded as a picture"):
        quantise(fp32, target, cases)
    assert list(target.parent.iterdir()) == [target]
    assert target.read_bytes() == int8.read_bytes()
    assert metadata_of(target)["precision"] == "int8"
