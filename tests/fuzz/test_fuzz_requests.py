"""Any body is answered, and never with a 5xx."""

import gc
import json
import warnings
from collections.abc import Iterator
from contextlib import suppress

import pytest
from engines import MODEL
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st
from mutations import mutated
from rest_seeds import FORM_TYPE, SEEDS

from serving.core.contract import request_from_json
from serving.core.errors import InvalidRequestError, PayloadTooLargeError
from serving.core.runtime import Runtime
from serving.http.app import create_app
from serving.http.inference_protocol_codec import decode_tensors
from serving.http.settings import Settings

# Starlette leaves the file of a truncated form part to the garbage collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)

REFUSALS = InvalidRequestError, PayloadTooLargeError

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda values: (
        st.lists(values, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "image",
                    "mask",
                    "output_size",
                    "inputs",
                    "outputs",
                    "name",
                    "shape",
                    "datatype",
                    "data",
                    "id",
                ]
            )
            | st.text(max_size=5),
            values,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    settings = Settings(page=MODEL.parent)
    with TestClient(create_app(settings, Runtime(MODEL)), raise_server_exceptions=False) as client:
        yield client
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@given(_JSON)
@settings(settings.get_profile("fuzz"))
def test_json_is_read_or_refused(value: object) -> None:
    body = json.dumps(value).encode()
    for read in (request_from_json, lambda body: decode_tensors(body, None)):
        with suppress(*REFUSALS):
            read(body)


@given(mutated(SEEDS["infer"]), st.none() | st.integers(0, 3000).map(str))
@settings(settings.get_profile("fuzz"))
def test_damaged_tensors_are_read_or_refused(body: bytes, head_length: str | None) -> None:
    with suppress(*REFUSALS):
        decode_tensors(body, head_length)


@given(
    mutated(SEEDS["form"]), st.sampled_from(["", "; charset=utf-8", "; charset=punycode", "; charset=utf-16"])
)
@settings(settings.get_profile("fuzz"))
def test_damaged_forms_are_answered(client: TestClient, body: bytes, charset: str) -> None:
    response = client.post(
        "/predictions/inpaint", content=body, headers={"Content-Type": FORM_TYPE + charset}
    )
    assert response.status_code < 500, response.text


@given(mutated(SEEDS["json"], header=3000))
@settings(settings.get_profile("fuzz"))
def test_damaged_json_is_answered(client: TestClient, body: bytes) -> None:
    response = client.post("/predictions/inpaint", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code < 500, response.text


@given(mutated({"gzip": SEEDS["gzip"]["gzip"]}))
@settings(settings.get_profile("fuzz"))
def test_damaged_compression_is_answered(client: TestClient, body: bytes) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    response = client.post("/predictions/inpaint", content=body, headers=headers)
    assert response.status_code < 500, response.text
