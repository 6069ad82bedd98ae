"""Triton's own Python client against the ONNX server: an independent check of the Open Inference Protocol."""

from collections.abc import Callable, Iterator

import numpy as np
import onnxruntime
import pytest
from engines import MODEL, Engine
from numpy.typing import NDArray
from rest import RestClient, assert_well
from sample_pictures import block, face, scratch
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException

Floats = NDArray[np.float32]


@pytest.fixture(scope="module")
def session() -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(MODEL, providers=["CPUExecutionProvider"])


@pytest.fixture
def triton(onnx_engine: Engine) -> Iterator[InferenceServerClient]:
    with InferenceServerClient(f"127.0.0.1:{onnx_engine.port}", network_timeout=120) as client:
        yield client


def tensors(batch: int, height: int = 178, width: int = 178) -> tuple[Floats, Floats]:
    """Images [N,3,H,W] in [0, 1] and masks [N,1,H,W] with 1 = known; all different."""
    images, masks = [], []
    for index in range(batch):
        photo = np.roll(face(height, width), 20 * index, axis=1)
        hole = scratch(height, width, 5 + 4 * index) if index % 2 else block(height, width, 20, 30, 60)
        images.append(photo.transpose(2, 0, 1) / np.float32(255))
        masks.append(~hole[np.newaxis])
    return np.stack(images).astype(np.float32), np.stack(masks).astype(np.float32)


def inputs(images: Floats, masks: Floats, *, binary: bool = True) -> list[InferInput]:
    wrapped = []
    for name, array in (("image", images), ("mask", masks)):
        tensor = InferInput(name, list(array.shape), "FP32")
        tensor.set_data_from_numpy(array, binary_data=binary)
        wrapped.append(tensor)
    return wrapped


def test_health_and_metadata(triton: InferenceServerClient, session: onnxruntime.InferenceSession) -> None:
    assert triton.is_server_live()
    assert triton.is_server_ready()
    assert triton.is_model_ready("inpaint")
    assert not triton.is_model_ready("another")
    metadata = triton.get_model_metadata("inpaint")
    assert metadata["name"] == "inpaint"
    assert metadata["versions"] == [session.get_modelmeta().custom_metadata_map["model_version"]]
    for kind, nodes in (("inputs", session.get_inputs()), ("outputs", session.get_outputs())):
        declared = {tensor["name"]: (tensor["datatype"], tensor["shape"]) for tensor in metadata[kind]}
        graph = {
            node.name: ("FP32", [size if isinstance(size, int) else -1 for size in node.shape])
            for node in nodes
        }
        assert declared == graph
    assert "binary_tensor_data" in triton.get_server_metadata()["extensions"]


@pytest.mark.parametrize("binary_output", [True, False], ids=["raw-out", "json-out"])
@pytest.mark.parametrize("binary_input", [True, False], ids=["raw-in", "json-in"])
def test_inference_is_what_onnx_runtime_computes(
    triton: InferenceServerClient,
    session: onnxruntime.InferenceSession,
    binary_input: bool,
    binary_output: bool,
) -> None:
    images, masks = tensors(1, 64, 96) if not binary_input else tensors(2)
    result = triton.infer(
        "inpaint",
        inputs(images, masks, binary=binary_input),
        outputs=[InferRequestedOutput("output", binary_data=binary_output)],
        request_id="a request",
    )
    output = result.as_numpy("output")
    assert output.dtype == np.float32
    assert output.shape == images.shape
    np.testing.assert_allclose(
        output, session.run(["output"], {"image": images, "mask": masks})[0], rtol=0, atol=1e-5
    )
    assert result.get_response()["id"] == "a request"
    known = np.broadcast_to(masks == 1, images.shape)
    assert (output[known] == images[known]).all()


def test_a_batch_gives_the_same_as_its_pictures_one_by_one(triton: InferenceServerClient) -> None:
    images, masks = tensors(5)
    together = triton.infer("inpaint", inputs(images, masks)).as_numpy("output")
    for index in range(5):
        one = slice(index, index + 1)
        alone = triton.infer("inpaint", inputs(images[one], masks[one])).as_numpy("output")
        np.testing.assert_allclose(together[one], alone, rtol=0, atol=1e-5)


def damaged(value: float) -> tuple[Floats, Floats]:
    images, masks = tensors(1)
    images[0, 1, 2, 3] = value
    return images, masks


BAD: dict[str, tuple[Callable[[], list[InferInput]], str]] = {
    "nan": (lambda: inputs(*damaged(np.nan)), "image"),
    "infinity": (lambda: inputs(*damaged(np.inf)), "image"),
    "out-of-range": (lambda: inputs(*damaged(255.0)), "image"),
    "nan-in-the-mask": (lambda: inputs(tensors(1)[0], np.full((1, 1, 178, 178), np.nan, np.float32)), "mask"),
    "grey-mask": (lambda: inputs(tensors(1)[0], np.full((1, 1, 178, 178), 0.5, np.float32)), "mask"),
    "missing": (lambda: inputs(*tensors(1))[:1], "mask"),
    "other-size": (lambda: inputs(tensors(1)[0], tensors(1, 96, 96)[1]), "mask"),
    "other-batch": (lambda: inputs(tensors(2)[0], tensors(1)[1]), "mask"),
    "too-small": (lambda: inputs(*tensors(1, 20, 20)), "32"),
    "channels": (lambda: inputs(tensors(1)[0][:, :1], tensors(1)[1]), "image"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_tensors(onnx_engine: Engine, triton: InferenceServerClient, name: str) -> None:
    build, word = BAD[name]
    with pytest.raises(InferenceServerException) as caught:
        triton.infer("inpaint", build())
    assert caught.value.status() == "400"
    assert word in caught.value.message()
    assert "Traceback" not in caught.value.message()
    assert_well(RestClient(onnx_engine.url))


def test_an_unknown_model(triton: InferenceServerClient) -> None:
    with pytest.raises(InferenceServerException) as caught:
        triton.infer("another", inputs(*tensors(1)))
    assert caught.value.status() == "404"
    assert "another" in caught.value.message()
