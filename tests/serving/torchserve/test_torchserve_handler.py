"""The handler as a worker calls it: with TorchServe's own context, one batch at a time."""

import base64
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import engines
import numpy as np
import pytest
from sample_pictures import block, decode_rgba, encode, encode_mask, face
from ts.context import Context, RequestProcessor

from serving.core.errors import DeviceUnavailableError, ModelFileError
from serving.core.pipeline import Pipeline
from serving.core.runtime import Runtime
from serving.torchserve.handler import InpaintHandler

IMAGE, MASK = encode(face()), encode_mask(block(178, 178, 80, 80, 20))
FORM = {"Content-Type": "multipart/form-data; boundary=b"}
JSON = {"Content-Type": "application/json"}
BODY = {"image": base64.b64encode(IMAGE).decode(), "mask": base64.b64encode(MASK).decode()}


def context_of(
    folder: Path = engines.MODEL.parent, config: Mapping[str, Any] | None = None, gpu: int | None = None
) -> Context:
    manifest = {"model": {"serializedFile": engines.MODEL.name}}
    return Context("inpaint", str(folder), manifest, 1, gpu, "0.12.0", model_yaml_config=config)


class Worker:
    """A handler with the model loaded, and the context that its worker calls it with."""

    def __init__(self) -> None:
        self.context = context_of(config={"threads": 1})
        self.handler = InpaintHandler()
        self.handler.initialize(self.context)

    def answer(
        self, *requests: tuple[dict[str, Any], dict[str, Any]]
    ) -> list[tuple[int, dict[str, str], bytes]]:
        """Handle a batch of requests, given as fields and headers. Return status, headers and body of each answer."""
        self.context.request_ids = {index: f"request-{index}" for index in range(len(requests))}
        self.context.request_processor = [RequestProcessor(headers) for _, headers in requests]
        bodies = self.handler.handle([fields for fields, _ in requests], self.context)
        assert len(bodies) == len(requests)
        return [
            (self.context.get_response_status(index)[0], self.context.get_response_headers(index), body)
            for index, body in enumerate(bodies)
        ]


@pytest.fixture(scope="module")
def worker() -> Worker:
    return Worker()


def test_form_and_json_are_answered_alike(worker: Worker) -> None:
    raw = json.dumps(BODY).encode()
    answers = worker.answer(
        ({"image": IMAGE, "mask": MASK}, FORM),
        ({"image": bytearray(IMAGE), "mask": bytearray(MASK), "output_size": bytearray(b"original")}, FORM),
        ({"body": bytearray(raw)}, JSON),
        ({"body": BODY}, JSON),  # as with decode_input_request
        ({"body": raw}, {"content-type": "Application/JSON; charset=utf-8"}),
    )
    assert [code for code, _, _ in answers] == [200] * 5
    assert len({body for _, _, body in answers}) == 1
    facts = json.loads(answers[0][2])
    picture = decode_rgba(base64.b64decode(facts["image"]))[:, :, :3]
    hole = block(178, 178, 80, 80, 20)
    np.testing.assert_array_equal(picture[~hole], face()[~hole])
    assert (picture[hole] != face()[hole]).any()
    assert facts["model"] == "inpaint"


def test_headers_tell_version_and_provider_also_on_errors(worker: Worker) -> None:
    version = Runtime(engines.MODEL).version
    for code, headers, _ in worker.answer(({"body": BODY}, JSON), ({"body": {}}, JSON)):
        assert code in (200, 400)
        assert headers["X-Model-Version"] == version
        assert headers["X-Execution-Provider"] == "CPUExecutionProvider"
        assert headers["content-type"] == "application/json"


def test_accept_png_answers_the_picture_itself(worker: Worker) -> None:
    ((code, headers, body),) = worker.answer(({"body": BODY}, {**JSON, "accept": "image/png"}))
    assert (code, headers["content-type"]) == (200, "image/png")
    assert decode_rgba(body).shape == (178, 178, 4)


def test_each_item_of_a_batch_has_its_own_status(worker: Worker) -> None:
    answers = worker.answer(
        ({"body": b"{broken"}, JSON),
        ({"image": IMAGE, "mask": MASK}, FORM),
        ({"body": b"hello"}, {"Content-Type": "text/plain"}),
        ({"body": b""}, {}),
        ({"image": b"no picture", "mask": MASK}, FORM),
        ({"body": BODY}, {**JSON, "Content-Encoding": "gzip"}),
        ({"body": BODY}, JSON),
    )
    assert [code for code, _, _ in answers] == [400, 200, 415, 415, 400, 415, 200]
    for code, _, body in answers:
        answer = json.loads(body)
        if code != 200:
            assert answer.keys() == {"code", "type", "message"}
            assert answer["code"] == code
    assert answers[1][2] == answers[6][2]


def test_status_has_its_phrase(worker: Worker) -> None:
    worker.answer(({"body": BODY}, JSON), ({"body": b"hello"}, {"Content-Type": "text/plain"}))
    assert worker.context.get_response_status(0) == (200, "OK")
    assert worker.context.get_response_status(1) == (415, "Unsupported Media Type")


@pytest.mark.parametrize("value", [10**15, {"a": 1}, [1, 2], None, 1.5], ids=repr)
def test_a_part_that_torchserve_has_parsed_as_json_is_no_picture(value: object, worker: Worker) -> None:
    # With decode_input_request; and bytes(10**15) would be a petabyte.
    ((code, _, body),) = worker.answer(({"image": value, "mask": MASK}, FORM))
    assert (code, json.loads(body)["type"]) == (400, "InvalidImageException")


def test_a_part_that_torchserve_has_decoded_as_text_is_read(worker: Worker) -> None:
    ((code, _, body),) = worker.answer(({"image": IMAGE, "mask": MASK, "output_size": "model"}, FORM))
    assert (code, json.loads(body)["width"]) == (200, 178)


def test_a_prediction_ends_before_torchserve_kills_the_worker(worker: Worker) -> None:
    context = context_of(config={"threads": 1, "responseTimeout": 1e-4})
    worker.handler.initialize(context)
    try:
        ((code, _, body),) = worker.answer(({"body": BODY}, JSON))
    finally:
        worker.handler.initialize(worker.context)
    assert (code, json.loads(body)["type"]) == (503, "DeadlineExceededException")


@pytest.mark.parametrize("name", ["describe", "explain"])
def test_headers_that_steer_the_base_handler_change_nothing(name: str, worker: Worker) -> None:
    plain, steered = worker.answer(({"body": BODY}, JSON), ({"body": BODY}, {**JSON, name: "True"}))
    assert (plain[0], plain[2]) == (steered[0], steered[2])


def test_fields_named_like_headers_are_no_headers(worker: Worker) -> None:
    # A worker puts the content types of a form's fields among the headers.
    headers = {"accept": {"content-type": "image/png"}, "image": {"content-type": "image/png"}, **FORM}
    ((code, answered, _),) = worker.answer(({"image": IMAGE, "mask": MASK}, headers))
    assert (code, answered["content-type"]) == (200, "application/json")


def test_the_management_api_is_told_where_the_model_comes_from(worker: Worker) -> None:
    ((code, _, body),) = worker.answer(({}, {"describe": "True"}))
    assert (code, json.loads(body)) == (200, Runtime(engines.MODEL).metadata)


@pytest.mark.parametrize("failure", [ValueError("a secret"), MemoryError()], ids=repr)
def test_what_nobody_foresaw_fails_one_item_without_a_traceback(
    failure: Exception, worker: Worker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fill, calls = Pipeline.fill, []

    def fail_first(self: Pipeline, request: Any, *options: Any) -> Any:
        calls.append(request)
        if len(calls) == 1:
            raise failure
        return fill(self, request, *options)

    monkeypatch.setattr(Pipeline, "fill", fail_first)
    failed, filled = worker.answer(({"body": BODY}, JSON), ({"body": BODY}, JSON))
    assert (failed[0], filled[0]) == (500, 200)
    assert json.loads(failed[2])["type"] == "InternalServerException"
    assert b"secret" not in failed[2]
    assert "request-0" in caplog.text
    assert "Traceback" in caplog.text


@pytest.mark.parametrize(
    ("config", "gpu"), [({"deviceType": "gpu"}, None), ({}, 0), ({"deviceType": "cpu"}, 0)]
)
def test_refuses_to_load_where_a_gpu_was_meant_and_the_cpu_would_serve(
    config: dict[str, Any], gpu: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Hides the GPUs of a host that has some. The handler writes it too, and monkeypatch undoes both.
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    with pytest.raises(DeviceUnavailableError, match="GPU"):
        InpaintHandler().initialize(context_of(config=config, gpu=gpu))


def test_shows_the_runtime_the_assigned_gpu_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,-1,7")
    with pytest.raises(DeviceUnavailableError):
        InpaintHandler().initialize(context_of(gpu=1))
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "-1"


def test_refuses_what_is_no_model(tmp_path: Path) -> None:
    (tmp_path / engines.MODEL.name).write_bytes(b"no model")
    with pytest.raises(ModelFileError):
        InpaintHandler().initialize(context_of(tmp_path))


@pytest.mark.parametrize(
    ("config", "threads"),
    [
        ({"threads": 3, "maxWorkers": 2}, 3),
        ({"threads": 0, "maxWorkers": 2}, 4),
        ({"maxWorkers": 99}, 1),
        ({}, 8),
    ],
)
def test_workers_share_the_cores(
    config: dict[str, int], threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []
    load = Runtime.__init__

    def note(self: Runtime, path: Path, **options: Any) -> None:
        taken.append(options["threads"])
        load(self, path, **options)

    monkeypatch.setattr(Runtime, "__init__", note)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    InpaintHandler().initialize(context_of(config=config))
    assert taken == [threads]
