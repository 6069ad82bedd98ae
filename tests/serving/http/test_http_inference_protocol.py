"""The Open Inference Protocol: requests by Triton's own client, and ones made by hand that it would not send."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import engines
import numpy as np
import pytest
import requests
import tritonclient.http as triton
from numpy.typing import NDArray
from requests_in_flight import PATIENCE
from sample_pictures import face, scratch
from tritonclient.utils import InferenceServerException

from serving.core.errors import InvalidRequestError
from serving.core.runtime import Runtime
from serving.http.inference_protocol_codec import MAX_BATCH, MAX_JSON_VALUES, decode_tensors

Floats = NDArray[np.float32]
INFER = "/v2/models/inpaint/infer"


@pytest.fixture(scope="module")
def client(onnx_engine: engines.Engine) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(onnx_engine.url.removeprefix("http://")) as client:
        yield client


def pictures(batch: int = 1, height: int = 178, width: int = 178) -> tuple[Floats, Floats]:
    image = face(height, width).transpose(2, 0, 1).astype(np.float32) / np.float32(255)
    images = np.stack([np.roll(image, 9 * number, axis=2) for number in range(batch)])
    mask = np.where(scratch(height, width, 7), 0, 1).astype(np.float32)
    return images, np.stack([mask[np.newaxis]] * batch)


def inputs(images: Floats, masks: Floats, *, binary: bool = True) -> list[triton.InferInput]:
    tensors = []
    for name, array in (("image", images), ("mask", masks)):
        tensor = triton.InferInput(name, list(array.shape), "FP32")
        tensor.set_data_from_numpy(array, binary_data=binary)
        tensors.append(tensor)
    return tensors


def test_tritons_client_finds_the_model(client: triton.InferenceServerClient, runtime: Runtime) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("inpaint")
    assert client.is_model_ready("inpaint", runtime.version)
    assert not client.is_model_ready("outpaint")
    assert not client.is_model_ready("inpaint", "0")
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    metadata = client.get_model_metadata("inpaint")
    assert metadata["versions"] == [runtime.version]
    assert metadata["inputs"] == [
        {"name": "image", "datatype": "FP32", "shape": [-1, 3, -1, -1]},
        {"name": "mask", "datatype": "FP32", "shape": [-1, 1, -1, -1]},
    ]
    assert metadata["outputs"] == [{"name": "output", "datatype": "FP32", "shape": [-1, 3, -1, -1]}]


@pytest.mark.parametrize("binary_in", [True, False])
@pytest.mark.parametrize("binary_out", [True, False, None])
def test_tritons_client_infers(
    client: triton.InferenceServerClient, runtime: Runtime, binary_in: bool, binary_out: bool | None
) -> None:
    images, masks = pictures(2, 100, 90)
    outputs = None if binary_out is None else [triton.InferRequestedOutput("output", binary_data=binary_out)]
    result = client.infer(
        "inpaint", inputs(images, masks, binary=binary_in), outputs=outputs, request_id="seven"
    )
    np.testing.assert_allclose(result.as_numpy("output"), runtime.run(images, masks), atol=1e-5)
    response = result.get_response()
    assert response["id"] == "seven"
    assert response["model_name"] == "inpaint"
    assert response["model_version"] == runtime.version


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_tritons_client_may_compress(
    client: triton.InferenceServerClient, runtime: Runtime, algorithm: str
) -> None:
    images, masks = pictures()
    result = client.infer(
        "inpaint",
        inputs(images, masks),
        request_compression_algorithm=algorithm,
        response_compression_algorithm=algorithm,
    )
    np.testing.assert_allclose(result.as_numpy("output"), runtime.run(images, masks), atol=1e-5)


def test_tritons_client_may_name_the_version(client: triton.InferenceServerClient, runtime: Runtime) -> None:
    images, masks = pictures(1, 64, 64)
    result = client.infer("inpaint", inputs(images, masks), model_version=runtime.version)
    assert result.as_numpy("output").shape == images.shape


def test_tritons_client_may_infer_in_parallel(onnx_engine: engines.Engine, runtime: Runtime) -> None:
    address = onnx_engine.url.removeprefix("http://")
    pairs = [pictures(1, 64, 60 + number) for number in range(4)]
    with triton.InferenceServerClient(address, concurrency=4) as client:
        waiting = [client.async_infer("inpaint", inputs(*pair)) for pair in pairs]
        for pair, one in zip(pairs, waiting, strict=True):
            np.testing.assert_allclose(one.get_result().as_numpy("output"), runtime.run(*pair), atol=1e-5)


def changed(image: float | None = None, mask: float | None = None) -> tuple[Floats, Floats]:
    images, masks = pictures(1, 40, 40)
    if image is not None:
        images[0, 1, 20, 20] = image
    if mask is not None:
        masks[0, 0, 20, 20] = mask
    return images, masks


BAD_TENSORS: dict[str, tuple[tuple[Floats, Floats], str]] = {
    "image-nan": (changed(image=np.nan), "'image' has NaN"),
    "image-infinite": (changed(image=np.inf), "'image' has NaN or infinite"),
    "image-over-1": (changed(image=1.5), r"\[0, 1\]"),
    "image-below-0": (changed(image=-0.1), r"\[0, 1\]"),
    "mask-nan": (changed(mask=np.nan), "'mask' has NaN"),
    "mask-between": (changed(mask=0.5), "0 .hole. and 1 .known."),
    "mask-255": (changed(mask=255), "0 .hole. and 1 .known."),
    "too-small": (pictures(1, 31, 40), "at least 32"),
    "image-grey": ((pictures()[1], pictures()[1]), r"\[N,3,H,W\]"),
    "mask-colour": ((pictures()[0], pictures()[0]), r"\[N,1,H,W\]"),
    "sizes-differ": ((pictures(1, 40, 40)[0], pictures(1, 40, 41)[1]), "differ"),
    "batches-differ": ((pictures(2, 40, 40)[0], pictures(1, 40, 40)[1]), "differ"),
    "no-batch": ((pictures(1, 40, 40)[0][:0], pictures(1, 40, 40)[1][:0]), "N at least 1"),
    "no-dimension": ((pictures()[0][0], pictures()[1][0]), r"\[N,3,H,W\]"),
    "too-many": (pictures(MAX_BATCH + 1, 32, 32), "too large"),
    "too-large": (pictures(1, 513, 512), "too large"),
}


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("name", BAD_TENSORS)
def test_tensors_that_are_no_pictures_are_refused(
    client: triton.InferenceServerClient, name: str, binary: bool
) -> None:
    tensors, words = BAD_TENSORS[name]
    with pytest.raises(InferenceServerException, match=words) as caught:
        client.infer("inpaint", inputs(*tensors, binary=binary))
    assert caught.value.status() == ("413" if name.startswith("too-") and name != "too-small" else "400")
    assert client.is_server_ready()


def head(**changes: Any) -> dict[str, Any]:
    """A valid JSON request, with changes to the request or to its image, if any."""
    images, masks = pictures(1, 32, 32)
    image, mask = (
        {"name": name, "shape": list(array.shape), "datatype": "FP32", "data": array.tolist()}
        for name, array in (("image", images), ("mask", masks))
    )
    for key in set(changes) & {"shape", "datatype", "data", "parameters_of_image"}:
        image[key.removesuffix("_of_image")] = changes.pop(key)
    return {"inputs": [image, mask], **changes}


BAD_HEADS: dict[str, tuple[Any, str]] = {
    "no-json": (b"{", "JSON"),
    "array": ([], "'inputs'"),
    "no-inputs": ({}, "'inputs'"),
    "inputs-object": ({"inputs": {}}, "'inputs'"),
    "input-string": ({"inputs": ["image"]}, "'image' or 'mask'"),
    "no-mask": ({"inputs": head()["inputs"][:1]}, "'mask' is missing"),
    "no-image": ({"inputs": head()["inputs"][1:]}, "'image' is missing"),
    "twice": ({"inputs": head()["inputs"] * 2}, "more than once"),
    "name-array": ({"inputs": [{"name": []}]}, "'image' or 'mask'"),
    "name-object": ({"inputs": [{"name": {}}]}, "'image' or 'mask'"),
    "other-name": ({"inputs": [{"name": "picture"}]}, "'image' or 'mask'"),
    "int8": (head(datatype="INT8"), "FP32"),
    "shape-string": (head(shape="1,3,32,32"), r"[N,3,H,W]"),
    "shape-float": (head(shape=[1.0, 3, 32, 32]), r"[N,3,H,W]"),
    "shape-negative": (head(shape=[-1, 3, 32, 32]), r"N at least 1"),
    "data-missing": (head(data=None), "numbers"),
    "data-short": (head(data=[0.5]), "1 values"),
    "data-strings": (head(data=["0.5"] * 3072), "numbers"),
    "data-booleans": (head(data=[True] * 3072), "numbers"),
    "data-ragged": (head(data=[[0.5], [0.5, 0.5]]), "ragged"),
    "data-huge": (head(data=[10**400] * 3072), "numbers"),
    "data-1e300": (head(data=[1e300] * 3072), "[0, 1]"),
    "data-string-bomb": (head(data=["a" * 1_000_000, *[""] * 3071]), "numbers"),
    "data-mixed": (head(data=[*[0.5] * 3071, "0.5"]), "numbers"),
    "data-objects": (head(data=[{}] * 3072), "numbers"),
    "data-empty": (head(data=[[[[]]]]), "numbers"),
    "data-deep": (head(data=[[[[[[[[[[0.5]]]]]]]]]]), "ragged"),
    "data-deep-and-ragged": (head(data=[[[0.5]], [0.5]]), "ragged"),
    "id-too-long": (head(id="x" * 1001), "'id'"),
    "id-array": (head(id=[]), "'id'"),
    "binary-size-wrong": (head(parameters_of_image={"binary_data_size": 5}), "12288 bytes"),
    "binary-size-string": (head(parameters_of_image={"binary_data_size": "12288"}), "12288 bytes"),
    "binary-without-bytes": (head(parameters_of_image={"binary_data_size": 12288}), "0 bytes left"),
    "output-unknown": (head(outputs=[{"name": "mask"}]), "'output'"),
    "outputs-number": (head(outputs=3), "'output'"),
}


@pytest.mark.parametrize("name", BAD_HEADS)
def test_malformed_requests_are_refused(onnx_engine: engines.Engine, name: str) -> None:
    body, words = BAD_HEADS[name]
    answer = requests.post(
        onnx_engine.url + INFER, data=body if isinstance(body, bytes) else json.dumps(body)
    )
    assert answer.status_code == 400, answer.text
    assert list(answer.json()) == ["error"]
    assert words in answer.json()["error"]


@pytest.mark.parametrize("length", ["-1", "x", "99999999", "9" * 5000, "²", ""])
def test_a_wrong_length_of_the_head_is_refused(onnx_engine: engines.Engine, length: str) -> None:
    headers = {"Inference-Header-Content-Length": length.encode("latin-1")}
    answer = requests.post(onnx_engine.url + INFER, data=json.dumps(head()), headers=headers)
    assert answer.status_code == 400
    assert list(answer.json()) == ["error"]


def test_bytes_left_over_are_refused(onnx_engine: engines.Engine) -> None:
    body = json.dumps(head()).encode()
    headers = {"Inference-Header-Content-Length": str(len(body))}
    answer = requests.post(onnx_engine.url + INFER, data=body + b"\0\0\0\0", headers=headers)
    assert "4 extra bytes" in answer.json()["error"]


def test_a_json_request_gets_a_json_answer(onnx_engine: engines.Engine, runtime: Runtime) -> None:
    answer = requests.post(onnx_engine.url + INFER, json=head(parameters={"binary_data_output": False}))
    assert answer.headers["content-type"] == "application/json"
    (output,) = answer.json()["outputs"]
    assert (output["name"], output["datatype"], output["shape"]) == ("output", "FP32", [1, 3, 32, 32])
    expected = runtime.run(*pictures(1, 32, 32))
    np.testing.assert_allclose(np.reshape(output["data"], (1, 3, 32, 32)), expected, atol=1e-5)
    assert "id" not in answer.json()


def test_a_nan_in_json_is_refused(onnx_engine: engines.Engine) -> None:
    data = json.dumps(head(data=[float("nan")] * 3072))
    assert "NaN" in data
    answer = requests.post(onnx_engine.url + INFER, data=data)
    assert answer.status_code == 400
    assert "NaN" in answer.json()["error"]


@pytest.mark.parametrize("path", ["/v2/models/outpaint", "/v2/models/inpaint/versions/0", "/v2/nowhere"])
def test_a_404_has_the_protocols_shape(onnx_engine: engines.Engine, path: str) -> None:
    answer = requests.get(onnx_engine.url + path)
    assert answer.status_code == 404
    assert list(answer.json()) == ["error"]


def test_strings_take_no_memory_and_block_nobody(onnx_engine: engines.Engine) -> None:
    """numpy would turn this megabyte into 4 GB, with every string as wide as the longest."""
    body = json.dumps(head(data=["a" * 1_000_000, *[""] * 1000]))
    with engines.PeakMemory(onnx_engine) as memory:
        assert requests.post(onnx_engine.url + INFER, data=body, timeout=PATIENCE).status_code == 400
    assert memory.growth < 250_000_000


def test_a_large_body_is_parsed_while_others_are_answered(onnx_engine: engines.Engine) -> None:
    body = b'{"inputs": [{"name": "image", "data": [' + b"[]," * 3_900_000 + b"0]}]}"
    pings = 0
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(requests.post, onnx_engine.url + INFER, data=body, timeout=PATIENCE)
        while not answer.done():
            assert requests.get(f"{onnx_engine.url}/ping", timeout=PATIENCE).ok
            pings += 1
    assert answer.result().status_code == 400
    assert pings > 5  # one or two, if it were parsed where they are answered


def test_too_many_numbers_in_json_are_refused(onnx_engine: engines.Engine) -> None:
    body = b'{"inputs": [' + b"0," * (MAX_JSON_VALUES + 1) + b"0]}"
    answer = requests.post(onnx_engine.url + INFER, data=body, timeout=PATIENCE)
    assert answer.status_code == 413
    assert "binary tensor data" in answer.json()["error"]


def test_large_json_is_read_as_small_json_is(monkeypatch: pytest.MonkeyPatch) -> None:
    body = json.dumps(head(id="seven")).encode()
    here = decode_tensors(body, None)
    monkeypatch.setattr("serving.http.inference_protocol_codec._MAX_HEAD_IN_PROCESS", 0)
    there = decode_tensors(body, None)
    np.testing.assert_array_equal(here.images, there.images)
    np.testing.assert_array_equal(here.known, there.known)
    assert (here.id, here.binary) == (there.id, there.binary) == ("seven", False)
    with pytest.raises(InvalidRequestError, match="numbers"):
        decode_tensors(json.dumps(head(data=["x"] * 3072)).encode(), None)
