"""The app, run in this process: what its routes answer around a prediction. The contract suite tests the rest."""

import base64
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import SecretStr
from sample_pictures import encode, encode_mask, face, scratch
from server_metrics import samples

from serving.core.errors import InpaintError
from serving.core.runtime import Runtime
from serving.http.app import create_app
from serving.http.settings import Settings

IMAGE, MASK = encode(face(60, 80)), encode_mask(scratch(60, 80, 5))
FILES = {"image": IMAGE, "mask": MASK}
URL = "/predictions/inpaint"
TEMPLATE = "/predictions/{model}"


@pytest.fixture(scope="module")
def app(runtime: Runtime) -> FastAPI:
    return create_app(Settings(max_body_bytes=200_000), runtime)


@pytest.fixture(scope="module")
def client(app: FastAPI) -> Iterator[TestClient]:
    with TestClient(app, follow_redirects=False) as client:
        yield client


@pytest.mark.parametrize("accept", ["application/json", "image/png"])
def test_a_prediction_tells_who_made_it_and_how_long_it_took(
    client: TestClient, runtime: Runtime, accept: str
) -> None:
    answer = client.post(URL, files=FILES, headers={"Accept": accept})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == accept
    assert answer.headers["x-model-version"] == runtime.version
    assert answer.headers["x-execution-provider"] == "CPUExecutionProvider"
    assert answer.headers["cache-control"] == "no-store"
    stages = dict(part.split(";dur=") for part in answer.headers["server-timing"].split(", "))
    assert list(stages) == ["decode", "prepare", "run", "composite", "encode"]
    assert all(float(milliseconds) >= 0 for milliseconds in stages.values())


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "soon", ""])
def test_an_invalid_server_timeout_is_refused(client: TestClient, seconds: str) -> None:
    answer = client.post(URL, files=FILES, headers={"X-Server-Timeout": seconds})
    assert (answer.status_code, answer.json()["type"]) == (400, "InvalidRequestException")
    assert "X-Server-Timeout" in answer.json()["message"]


def test_the_smaller_of_the_servers_and_the_requests_time_applies(runtime: Runtime) -> None:
    app = create_app(Settings(max_seconds=1e-4), runtime)
    with TestClient(app) as hasty:
        answer = hasty.post(URL, files=FILES, headers={"X-Server-Timeout": "60"})
    assert (answer.status_code, answer.json()["type"]) == (503, "DeadlineExceededException")
    assert "0.0001 seconds" in answer.json()["message"]


def test_a_request_keeps_its_id_or_gets_one(client: TestClient) -> None:
    def answered(sent: str) -> str:
        return client.get("/ping", headers={"X-Request-ID": sent}).headers["X-Request-ID"]

    assert answered("photo-7.a_b") == "photo-7.a_b"
    ids = {answered(sent) for sent in ("", "a b", "x" * 65)}
    assert len(ids) == 3
    assert all(re.fullmatch("[0-9a-f]{32}", given) for given in ids)


def test_both_forms_of_an_answer_are_one_picture(client: TestClient) -> None:
    as_json = client.post(URL, files=FILES).json()
    as_png = client.post(URL, files=FILES, headers={"Accept": "image/png"}).content
    assert base64.b64decode(as_json["image"]) == as_png


def test_ping(client: TestClient) -> None:
    answer = client.get("/ping")
    assert (answer.status_code, answer.json()) == (200, {"status": "Healthy"})


def test_no_path_redirects_to_the_host_that_a_client_names(client: TestClient) -> None:
    for path in ("/ping/", "/predictions/inpaint/", "/v2/", "/docs/"):
        response = client.get(path, headers={"Host": "evil.example"})
        assert response.status_code == 404
        assert "evil.example" not in str(response.headers)


def test_the_documentation_loads_nothing_from_another_host(client: TestClient) -> None:
    page = client.get("/docs").text
    assert not re.findall(r"(?:src|href)=\"(?:https?:)?//", page)
    for path in re.findall(r"(?:src|href)=\"([^\"]+)\"", page):
        assert client.get(path).status_code == 200
    assert client.get(re.search(r"url: '([^']+)'", page)[1]).status_code == 200  # type: ignore[index]


@pytest.mark.parametrize(
    ("method", "path", "code", "kind"),
    [
        ("GET", "/nowhere", 404, "ResourceNotFoundException"),
        ("POST", "/predictions/other", 404, "ResourceNotFoundException"),
        ("GET", URL, 405, "MethodNotAllowedException"),
        ("DELETE", "/ping", 405, "MethodNotAllowedException"),
    ],
)
def test_wrong_paths_and_methods_have_the_contracts_shape(
    client: TestClient, method: str, path: str, code: int, kind: str
) -> None:
    answer = client.request(method, path)
    error = answer.json()
    assert answer.status_code == code
    assert set(error) == {"code", "type", "message"}
    assert (error["code"], error["type"]) == (code, kind)
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_wrong_method_is_told_the_right_ones(client: TestClient) -> None:
    assert client.get(URL).headers["allow"] == "POST"


def test_a_large_body_is_refused_whatever_it_says_of_its_length(client: TestClient) -> None:
    body = b"x" * 200_001
    declared = client.post(URL, content=body, headers={"Content-Type": "application/json"})
    chunked = client.post(
        URL,
        content=(body[i : i + 999] for i in range(0, len(body), 999)),
        headers={"Content-Type": "application/json"},
    )
    form = client.post(URL, files={"image": body})
    for answer in (declared, chunked, form):
        assert answer.status_code == 413
        assert answer.json()["type"] == "PayloadTooLargeException"


def test_an_unhandled_exception_is_logged_and_not_disclosed(
    client: TestClient, app: FastAPI, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(type(app.state.service.default.pipeline), "fill", lambda *_: 1 / 0)
    answer = client.post(URL, files=FILES, headers={"X-Request-ID": "seven"})
    assert answer.status_code == 500
    assert "POST /predictions/inpaint failed, request seven" in caplog.text
    error = answer.json()
    assert (error["code"], error["type"]) == (500, "InternalServerException")
    assert "division" not in answer.text
    assert "ZeroDivisionError" in caplog.text
    monkeypatch.undo()
    assert client.post(URL, files=FILES).status_code == 200


def test_metrics_count_what_was_answered(client: TestClient, runtime: Runtime) -> None:
    before = samples(client.get("/metrics").text)
    client.post(URL, files=FILES)
    client.post(URL, files={"image": b"none", "mask": MASK})
    client.get("/a/path/of/my/own")
    after = samples(client.get("/metrics").text)

    def grew(name: str) -> float:
        return after[name] - before.get(name, 0)

    labels = f'method="POST",model="inpaint",path="{TEMPLATE}"'
    assert grew(f'inpaint_http_requests_total{{code="200",{labels}}}') == 1
    assert grew(f'inpaint_http_requests_total{{code="400",{labels}}}') == 1
    assert grew(f'inpaint_http_request_seconds_count{{model="inpaint",path="{TEMPLATE}"}}') == 2
    for stage in ("decode", "prepare", "run", "composite", "encode"):
        assert grew(f'inpaint_stage_seconds_count{{model="inpaint",stage="{stage}"}}') == 1
    assert grew('inpaint_hole_ratio_count{model="inpaint"}') == 1
    assert after["inpaint_predictions_running"] == after["inpaint_predictions_waiting"] == 0
    info = f'inpaint_model_info{{name="inpaint",provider="{runtime.provider}",version="{runtime.version}"}}'
    assert after[info] == 1
    assert after["process_resident_memory_bytes"] > 0
    assert not any("my/own" in name for name in after)  # otherwise strangers could fill the memory with names


def test_apps_have_metrics_of_their_own(runtime: Runtime, client: TestClient) -> None:
    client.post(URL, files=FILES)
    with TestClient(create_app(Settings(), runtime)) as other:
        assert samples(other.get("/metrics").text)['inpaint_hole_ratio_count{model="inpaint"}'] == 0


@pytest.fixture
def guarded(runtime: Runtime) -> Iterator[TestClient]:
    with TestClient(create_app(Settings(api_key=SecretStr("schlüssel-1")), runtime)) as client:
        yield client


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer schlüssel-1 "[:-2].encode()},
        {"Authorization": "Basic c2NobMO8c3NlbC0x"},
        {"Authorization": "schlüssel-1".encode()},
    ],
    ids=["none", "empty", "wrong", "a-part", "basic", "bare"],
)
def test_without_the_key_there_is_no_prediction(guarded: TestClient, headers: dict[str, Any]) -> None:
    for method, path in (("POST", URL), ("POST", "/v2/models/inpaint/infer"), ("GET", "/v2/models/inpaint")):
        answer = guarded.request(method, path, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
    assert guarded.get("/metrics", headers=headers).json()["type"] == "UnauthorizedException"


def test_with_the_key_there_is(guarded: TestClient) -> None:
    headers = {b"Authorization": "Bearer schlüssel-1".encode()}
    assert guarded.post(URL, files=FILES, headers=headers).status_code == 200
    assert guarded.get("/metrics", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "path", ["/ping", "/v2/health/live", "/v2/health/ready", "/v2", "/docs", "/openapi.json"]
)
def test_health_and_documentation_need_no_key(guarded: TestClient, path: str) -> None:
    assert guarded.get(path).status_code == 200


def test_the_description_of_a_prediction_is_complete(client: TestClient) -> None:
    description = client.get("/openapi.json").json()
    operation = description["paths"][TEMPLATE]["post"]
    assert operation["operationId"] == "fill"
    bodies = operation["requestBody"]["content"]
    assert set(bodies) == {"multipart/form-data", "application/json"}
    schemas = description["components"]["schemas"]
    for body in bodies.values():
        schema = schemas[body["schema"]["$ref"].rsplit("/", 1)[1]]
        assert set(schema["properties"]) == {"image", "mask", "output_size", "output_format", "metadata"}
        assert schema["required"] == ["image"]
        assert all("description" in field for field in schema["properties"].values())
    assert schemas["FormRequest"]["properties"]["image"]["format"] == "binary"
    responses = operation["responses"]
    assert set(responses) == {"200", "400", "401", "404", "406", "408", "413", "415", "500", "503"}
    assert set(responses["200"]["content"]) == {
        "application/json",
        "image/jpeg",
        "image/png",
        "image/webp",
    }
    assert "Retry-After" in responses["503"]["headers"]
    for code in set(responses) - {"200"}:
        assert responses[code]["content"]["application/json"]["schema"]["$ref"].endswith("/ErrorBody")


def test_the_description_has_no_loose_ends(client: TestClient) -> None:
    description = client.get("/openapi.json").json()
    references = set(re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(description)))
    assert len(references) > 5
    for reference in references:
        part = description
        for step in reference.split("/"):
            part = part[step]


def test_no_answer_is_described_that_is_never_given(client: TestClient) -> None:
    for path in client.get("/openapi.json").json()["paths"].values():
        for operation in path.values():
            assert "422" not in operation["responses"]


def test_the_descriptions_example_can_be_sent(client: TestClient) -> None:
    schema = client.get("/openapi.json").json()["components"]["schemas"]["JsonRequest"]["properties"]
    body = {name: schema[name]["examples"][0] for name in ("image", "mask")}
    answer = client.post(URL, json=body)
    example = client.get("/openapi.json").json()["components"]["schemas"]["FillResponseBody"]["example"]
    assert answer.status_code == 200
    assert answer.json().keys() == example.keys()
    for fact in ("width", "height", "hole_ratio", "mime_type", "model"):
        assert answer.json()[fact] == example[fact]


def test_every_error_code_is_described(client: TestClient) -> None:
    operation = client.get("/openapi.json").json()["paths"][TEMPLATE]["post"]
    described = {int(code) for code in operation["responses"]}

    def codes(kind: type[InpaintError]) -> set[int]:
        return {kind.code}.union(*(codes(child) for child in kind.__subclasses__()))

    assert codes(InpaintError) - {405} == described - {200}
