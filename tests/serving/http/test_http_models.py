"""Several models on one server: routes, index, metrics, and which model is the default."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from other_graphs import LAMA_255, save_mean_filler
from sample_pictures import encode, encode_mask, face, scratch
from server_metrics import samples

from serving.core.errors import ModelFileError, SettingsError
from serving.core.models import ModelSource, load_models, model_sources
from serving.core.runtime import Runtime
from serving.http.app import create_app
from serving.http.settings import Settings

HOLE = scratch(60, 80, 5)
FILES = {"image": encode(face(60, 80)), "mask": encode_mask(HOLE)}


@pytest.fixture(scope="module")
def lama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A graph with LaMa's signature, at 128x128."""
    return save_mean_filler(
        tmp_path_factory.mktemp("lama") / "lama.onnx", replace(LAMA_255, dims=(1, 128, 128))
    )


@pytest.fixture(scope="module")
def client(runtime: Runtime, lama: Path) -> Iterator[TestClient]:
    models = [Runtime(lama, name="lama", threads=1), runtime]
    with TestClient(create_app(Settings(), *models)) as client:
        yield client


@pytest.mark.parametrize("name", ["inpaint", "lama"])
def test_each_model_answers_under_its_name(client: TestClient, name: str) -> None:
    answer = client.post(f"/predictions/{name}", files=FILES)
    assert answer.status_code == 200
    assert answer.json()["model"] == name
    version = client.get(f"/v2/models/{name}").json()["versions"][0]
    assert answer.json()["model_version"] == answer.headers["x-model-version"] == version
    assert client.get(f"/v2/models/{name}/ready").json() == {"ready": True}
    assert client.get(f"/v2/models/{name}/versions/{version}/ready").status_code == 200
    assert client.get(f"/v2/models/{name}/versions/0/ready").status_code == 404


def test_models_fill_differently(client: TestClient) -> None:
    images = {
        client.post(f"/predictions/{name}", files=FILES).json()["image"] for name in ("inpaint", "lama")
    }
    assert len(images) == 2


def test_inference_names_its_model(client: TestClient) -> None:
    tensors = [("image", 3, 0.5), ("mask", 1, 1.0)]
    body = {
        "inputs": [
            {
                "name": name,
                "datatype": "FP32",
                "shape": [1, channels, 32, 32],
                "data": [value] * channels * 1024,
            }
            for name, channels, value in tensors
        ]
    }
    answer = client.post("/v2/models/lama/infer", content=json.dumps(body)).json()
    assert answer["model_name"] == "lama"
    assert set(answer["outputs"][0]["data"]) == {0.5}


def test_inference_on_more_than_the_fixed_size_is_refused(client: TestClient) -> None:
    body = {
        "inputs": [
            {"name": name, "datatype": "FP32", "shape": [1, channels, 32, 160], "data": [1] * channels * 5120}
            for name, channels in (("image", 3), ("mask", 1))
        ]
    }
    answer = client.post("/v2/models/lama/infer", content=json.dumps(body))
    assert answer.status_code == 413
    assert "128x128" in answer.json()["error"]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_index_lists_every_model_with_the_default_first(client: TestClient, method: str) -> None:
    index = client.request(method, "/v2/repository/index").json()
    assert [model["name"] for model in index] == ["inpaint", "lama"]
    assert all(model["state"] == "READY" and model["version"] for model in index)


def test_an_unknown_model_is_named_with_those_that_there_are(client: TestClient) -> None:
    answer = client.post("/predictions/outpaint", files=FILES)
    error = answer.json()
    assert (answer.status_code, error["code"], error["type"]) == (404, 404, "ResourceNotFoundException")
    assert all(name in error["message"] for name in ("'outpaint'", "'lama'", "'inpaint'"))
    answer = client.get("/v2/models/outpaint")
    assert answer.status_code == 404
    assert "'lama'" in answer.json()["error"]


def test_metrics_have_the_models_name_and_no_strangers(client: TestClient) -> None:
    client.post("/predictions/lama", files=FILES)
    client.post("/predictions/stranger", files=FILES)
    metrics = samples(client.get("/metrics").text)
    assert metrics['inpaint_hole_ratio_count{model="lama"}'] >= 1
    assert metrics['inpaint_stage_seconds_count{model="lama",stage="run"}'] >= 1
    assert sum(name.startswith("inpaint_model_info") for name in metrics) == 2
    assert not any("stranger" in name for name in metrics)


def test_without_a_model_named_inpaint_the_first_is_the_default(lama: Path) -> None:
    """The page and the SDK ask for `inpaint` unless told otherwise."""
    models = [Runtime(lama, name=name, threads=1) for name in ("first", "second")]
    with TestClient(create_app(Settings(), *models)) as client:
        assert client.post("/predictions/inpaint", files=FILES).json()["model"] == "first"
        assert client.get("/v2/models/inpaint").json()["name"] == "first"


def test_sources_are_files_names_and_folders(lama: Path) -> None:
    folder = lama.parent
    (folder / "notes.txt").touch()
    assert model_sources([f"big={lama}", str(lama), str(folder)]) == [
        ModelSource(lama, "big"),
        ModelSource(lama),
        ModelSource(lama, "lama"),
    ]
    assert model_sources(["runs/lr=3/model.onnx"]) == [ModelSource(Path("runs/lr=3/model.onnx"))]


@pytest.mark.parametrize("text", ["=model.onnx", "a b=model.onnx", "größe=model.onnx", ".hidden=model.onnx"])
def test_a_name_that_no_url_can_have_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="must be letters"):
        model_sources([text])


def test_a_folder_without_models_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no \.onnx file"):
        model_sources([str(tmp_path)])
    with pytest.raises(SettingsError, match="only a file"):
        model_sources([f"lama={tmp_path}"])
    (tmp_path / "my model.onnx").touch()
    with pytest.raises(SettingsError, match="rename it"):
        model_sources([str(tmp_path)])


def test_models_are_named_by_their_metadata_and_only_once(lama: Path, tmp_path: Path) -> None:
    named = save_mean_filler(
        tmp_path / "any.onnx", replace(LAMA_255, dims=(1, 128, 128)), model_name="eraser"
    )
    assert [model.name for model in load_models(model_sources([str(named), str(lama)]))] == [
        "eraser",
        "inpaint",
    ]
    with pytest.raises(SettingsError, match="both named 'inpaint'"):
        load_models(model_sources([str(lama), f"inpaint={lama}"]))


def test_a_metadata_name_that_no_url_can_have_is_refused(tmp_path: Path) -> None:
    path = save_mean_filler(tmp_path / "any.onnx", LAMA_255, model_name="my eraser")
    with pytest.raises(ModelFileError, match="model_name 'my eraser'"):
        Runtime(path, threads=1)
