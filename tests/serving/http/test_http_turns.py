"""Requests of different sizes in one application at the same time: the small ones do not wait for the large one."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from fastapi.testclient import TestClient
from sample_pictures import encode, encode_mask, face, scratch
from server_metrics import samples

from serving.core.runtime import Runtime
from serving.http.app import create_app
from serving.http.settings import Settings

SMALL = {"image": encode(face(60, 80)), "mask": encode_mask(scratch(60, 80, 5))}
URL = "/predictions/inpaint"


def scratched_all_over() -> dict[str, bytes]:
    """Return a photo that takes about forty runs of the model."""
    hole = np.zeros((1200, 800), bool)
    hole[100:103] = hole[300:303] = hole[500:503] = hole[700:703] = hole[900:903] = hole[1100:1103] = True
    return {"image": encode(face(1200, 800), "JPEG"), "mask": encode_mask(hole)}


@pytest.fixture(scope="module")
def client(runtime: Runtime) -> Iterator[TestClient]:
    with TestClient(create_app(Settings(concurrency=1), runtime)) as client:
        yield client


def running(client: TestClient) -> float:
    return samples(client.get("/metrics").text)["inpaint_predictions_running"]


def test_small_requests_overtake_a_large_one(client: TestClient) -> None:
    with ThreadPoolExecutor(1) as pool:
        photo = pool.submit(client.post, URL, files=scratched_all_over())
        while not running(client):
            assert not photo.done()
        for _ in range(3):
            assert client.post(URL, files=SMALL).status_code == 200
        assert not photo.done()
        assert photo.result().status_code == 200


def test_the_deadline_ends_a_large_request_between_two_runs_of_the_model(runtime: Runtime) -> None:
    app = create_app(Settings(concurrency=1), runtime)
    with TestClient(app) as client:
        answer = client.post(URL, files=scratched_all_over(), headers={"X-Server-Timeout": "0.2"})
        assert (answer.status_code, answer.json()["type"]) == (503, "DeadlineExceededException")
        assert running(client) == 0
        done = samples(client.get("/metrics").text)
    assert not [
        name for name in done if name.startswith("inpaint_stage_seconds_count")
    ]  # it was not completed
