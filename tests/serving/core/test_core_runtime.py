"""The model in ONNX Runtime: loading it, refusing files that are not models, and running it."""

import hashlib
import logging
from contextlib import nullcontext
from pathlib import Path

import engines
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from sample_pictures import face, scratch

from serving.core.errors import DeviceUnavailableError, ModelFileError, ModelOutputError
from serving.core.graph import known_from_hole
from serving.core.runtime import CPU_PROVIDER, Device, Runtime


def saved(path: Path, model: onnx.ModelProto | None = None, **metadata: str) -> Path:
    """The default model, or another, with only this metadata."""
    model = model or onnx.load(engines.MODEL)
    del model.metadata_props[:]
    for key, value in metadata.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    onnx.save(model, path)
    return path


def one_operator(
    operator: str, inputs: tuple[str, ...] = ("image", "mask"), output: str = "output", channels: int = 3
) -> onnx.ModelProto:
    """A model that keeps to the graph's contract as far as the arguments allow."""
    given = [
        helper.make_tensor_value_info(
            name, TensorProto.FLOAT, ["n", 1 if name == "mask" else channels, "h", "w"]
        )
        for name in inputs
    ]
    made = [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["n", channels, "h", "w"])]
    node = helper.make_node(operator, list(inputs), [output])
    graph = helper.make_graph([node], "one", given, made)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def pair(height: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    image = face(height, width).transpose(2, 0, 1)[np.newaxis].astype(np.float32) / 255
    mask = np.where(scratch(height, width, 7), 0, 1).astype(np.float32)[np.newaxis, np.newaxis]
    return np.roll(image, seed, axis=3), mask


def test_the_default_model_tells_what_it_is(runtime: Runtime) -> None:
    metadata = onnxruntime.InferenceSession(engines.MODEL).get_modelmeta().custom_metadata_map
    assert runtime.version == metadata["model_version"]
    assert runtime.side == 178
    assert runtime.provider == CPU_PROVIDER
    assert runtime.metadata == metadata


@pytest.mark.parametrize("size", [(178, 178), (32, 32), (33, 47), (267, 120)])
def test_known_pixels_pass_through(runtime: Runtime, size: tuple[int, int]) -> None:
    images, masks = pair(*size)
    output = runtime.run(images, masks)
    assert output.shape == images.shape
    assert output.dtype == np.float32
    known = np.broadcast_to(masks > 0, output.shape)
    np.testing.assert_array_equal(output[known], images[known])
    assert output.min() >= 0
    assert output.max() <= 1


def test_a_batch_gives_the_same_as_its_pictures_one_by_one(runtime: Runtime) -> None:
    pairs = [pair(100, 130, seed) for seed in range(5)]
    images, masks = (np.concatenate(part) for part in zip(*pairs, strict=True))
    one_by_one = np.concatenate([runtime.run(*single) for single in pairs])
    np.testing.assert_allclose(runtime.run(images, masks), one_by_one, atol=1e-6)


def test_threads_may_share_it(runtime: Runtime) -> None:
    from concurrent.futures import ThreadPoolExecutor

    images, masks = pair(120, 120)
    expected = runtime.run(images, masks)
    with ThreadPoolExecutor(4) as pool:
        for output in pool.map(lambda _: runtime.run(images, masks), range(8)):
            np.testing.assert_array_equal(output, expected)


def test_without_a_version_the_files_hash_is_used(tmp_path: Path) -> None:
    path = saved(tmp_path / "model.onnx", model_size="178")
    assert Runtime(path).version == f"sha256-{hashlib.sha256(path.read_bytes()).hexdigest()[:12]}"


def test_the_trained_size_is_read(tmp_path: Path) -> None:
    assert Runtime(saved(tmp_path / "model.onnx", model_size="128")).side == 128
    assert Runtime(saved(tmp_path / "model.onnx")).side == 178


@pytest.mark.parametrize("version", ["1\r\nSet-Cookie: a=b", "größer"])
def test_a_version_that_no_header_can_carry_is_refused(tmp_path: Path, version: str) -> None:
    with pytest.raises(ModelFileError, match="model_version"):
        Runtime(saved(tmp_path / "model.onnx", model_version=version))


@pytest.mark.parametrize("size", ["large", "-178", "16", ""])
def test_an_impossible_trained_size_is_refused(tmp_path: Path, size: str) -> None:
    with pytest.raises(ModelFileError, match="model_size"):
        Runtime(saved(tmp_path / "model.onnx", model_size=size))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"no model file .*nowhere\.onnx"):
        Runtime(tmp_path / "nowhere.onnx")
    with pytest.raises(ModelFileError, match="no model file"):
        Runtime(tmp_path)


@pytest.mark.parametrize("content", [b"", b"This is no model.", engines.MODEL.read_bytes()[:100_000]])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=r"model\.onnx"):
        Runtime(path)


@pytest.mark.parametrize(
    "model",
    [
        one_operator("Mul", ("picture", "mask")),
        one_operator("Mul", output="filled"),
        one_operator("Neg", ("image",)),
        one_operator("Mul", channels=4),
    ],
    ids=["input", "output", "no-mask", "channels"],
)
def test_another_kind_of_model_is_refused(tmp_path: Path, model: onnx.ModelProto) -> None:
    with pytest.raises(ModelFileError):
        Runtime(saved(tmp_path / "model.onnx", model))


def test_a_model_that_answers_nan_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="NaN"):
        # 0.5 / 0, or 0 / 0 if the picture were black
        Runtime(saved(tmp_path / "model.onnx", one_operator("Div")))


def test_a_model_that_answers_nan_later_raises(tmp_path: Path) -> None:
    # A power with a fractional exponent: fine for the picture of the trial run, NaN for negative values.
    runtime = Runtime(saved(tmp_path / "model.onnx", one_operator("Pow")))
    with pytest.raises(ModelOutputError, match="NaN"):
        runtime.run(np.full((1, 3, 32, 32), -0.5, np.float32), np.full((1, 1, 32, 32), 0.5, np.float32))


@pytest.mark.skipif("CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="there is a GPU")
def test_looks_for_pips_cuda_when_a_gpu_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = []
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: looked.append(True))
    Runtime(engines.MODEL, device="cpu")
    assert not looked
    Runtime(engines.MODEL, device="cuda")
    assert looked == [True]


@pytest.mark.parametrize("device", ["cuda", "tensorrt"])
def test_a_required_gpu_that_is_not_there_stops_the_start(device: Device) -> None:
    with pytest.raises(DeviceUnavailableError, match=rf"'{device}'.*CPUExecutionProvider"):
        Runtime(engines.MODEL, device=device, require_gpu=True)


def test_the_cpu_does_not_count_as_a_gpu() -> None:
    with pytest.raises(DeviceUnavailableError, match="'cpu'"):
        Runtime(engines.MODEL, device="cpu", require_gpu=True)


@pytest.mark.skipif("CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="there is a GPU")
def test_a_gpu_that_is_only_asked_for_falls_back_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        runtime = Runtime(engines.MODEL, device="cuda")
    assert runtime.provider == CPU_PROVIDER
    assert "No GPU runs the model" in caplog.text


@pytest.mark.parametrize("size", [(178, 178), (97, 140)])
def test_a_run_gives_the_same_with_every_core_and_with_its_share(size: tuple[int, int]) -> None:
    runtime = Runtime(engines.MODEL, threads=4, shared_threads=1)
    image = (np.moveaxis(face(*size), 2, 0)[np.newaxis] / 255).astype(np.float32)
    known = known_from_hole(scratch(*size, 9))[np.newaxis, np.newaxis]
    assert (
        runtime.run(image, known, lambda: nullcontext(False)).tobytes() == runtime.run(image, known).tobytes()
    )
