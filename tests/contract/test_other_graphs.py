"""Graphs with the signatures of LaMa and MI-GAN beside the default model, on both engines: the contract holds for each.

The graphs are real, but small: they fill a hole with the mean of the known pixels (see `other_graphs`).
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import engines
import needs
import numpy as np
import pytest
from inpaint_client import ClientError, InpaintClient
from other_graphs import LAMA_1, LAMA_255, MIGAN, Signature, mean_of_known, save_mean_filler
from rest import Fill, RestClient, as_json, as_multipart, assert_error
from sample_pictures import block, decode_rgba, encode, encode_mask, face, painted, scratch

pytestmark = pytest.mark.engines

GRAPHS = {
    "lama": (LAMA_255, None),
    "lama-1": (LAMA_1, None),
    "migan": (MIGAN, None),
    "own": (Signature(image="picture", dims=("n", "h", "w")), "mask: {hole: 1}\nsize: 256\nmultiple_of: 8"),
}
SIDES = {"lama": 512, "lama-1": 512, "migan": 512, "own": 256}
# TorchServe runs a worker process for each model, and both engines use the same adapter.
SERVED = {"onnx": tuple(GRAPHS), "torchserve": ("lama",)}


def of_graphs(*names: str) -> pytest.MarkDecorator:
    """Run a test with each of these graphs on each engine that serves it."""
    served = [(engine, name) for engine in SERVED for name in SERVED[engine] if name in names]
    return pytest.mark.parametrize(("server", "name"), served, indirect=["server"])


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The ONNX files by model name."""
    folder = tmp_path_factory.mktemp("graphs")
    return {
        name: save_mean_filler(folder / name / "model.onnx", signature, description)
        for name, (signature, description) in GRAPHS.items()
    }


@pytest.fixture(scope="module", params=SERVED)
def server(
    request: pytest.FixtureRequest, files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[engines.Engine]:
    """Each engine with the default model and the others."""
    folder = tmp_path_factory.mktemp("server")
    files = {name: files[name] for name in SERVED[request.param]}
    if request.param == "onnx":
        flags = [flag for name, path in files.items() for flag in ("--model", f"{name}={path}")]
        with engines.onnx_server(folder, *flags) as engine:
            yield engine
        return
    needs.java()
    from export.mar import build_mar

    archives = [build_mar(engines.MODEL, folder)]
    archives += [build_mar(path, folder, name) for name, path in files.items()]
    port = engines.free_port(following=2)
    command = [sys.executable, "-m", "serving.torchserve.start", "--port", str(port), "--workers", "1"]
    command += [part for archive in archives for part in ("--mar", str(archive))]
    with engines.running("torchserve", command, (port, port + 2), folder) as engine:
        yield engine


@pytest.fixture(scope="module")
def client(server: engines.Engine) -> RestClient:
    return RestClient(server.url)


@of_graphs(*GRAPHS)
def test_a_hole_is_filled_with_what_the_graph_computes(client: RestClient, name: str) -> None:
    photo, hole = face(178, 240), block(178, 240, 60, 70, 50)
    fill = Fill(encode(painted(photo, hole)), encode_mask(hole))
    for request in (as_multipart(fill), as_json(fill)):
        answer = client.post(f"/predictions/{name}", **request, headers={"Accept": "image/png"})
        assert answer.status_code == 200, answer.text
        filled = decode_rgba(answer.content)[:, :, :3]
        assert (filled[~hole] == photo[~hole]).all()
        assert np.abs(filled.astype(int) - mean_of_known(photo, hole))[hole].max() <= 1


@of_graphs(*GRAPHS)
def test_facts_and_headers_name_the_model(client: RestClient, name: str) -> None:
    hole = block(178, 178, 60, 60, 50)
    fill = Fill(encode(face()), encode_mask(hole), "model")
    answer = client.post(f"/predictions/{name}", **as_multipart(fill))
    facts = answer.json()
    assert (facts["model"], facts["width"], facts["height"]) == (name, SIDES[name], SIDES[name])
    assert answer.headers["X-Model-Version"] == facts["model_version"]
    assert facts["model_version"].startswith("sha256-")


@of_graphs("lama", "migan")
def test_a_large_photo_is_filled_in_windows(client: RestClient, name: str) -> None:
    photo = face(900, 1300)
    hole = scratch(900, 1300, 11) | block(900, 1300, 300, 500, 200)
    answers = {
        client.post(
            f"/predictions/{name}",
            **as_multipart(Fill(encode(under), encode_mask(hole))),
            headers={"Accept": "image/png"},
        ).content
        for under in (photo, painted(photo, hole))
    }
    (png,) = answers  # what is under the hole never matters
    filled = decode_rgba(png)[:, :, :3]
    assert (filled[~hole] == photo[~hole]).all()
    assert not (filled[hole] == 0).all(axis=1).any()


def test_the_default_model_is_served_beside_them(client: RestClient) -> None:
    photo, hole = face(), scratch(178, 178, 9)
    filled = client.fill(Fill(encode(photo), encode_mask(hole)))
    assert filled.facts["model"] == "inpaint"
    assert (filled.rgb[~hole] == photo[~hole]).all()


@of_graphs("lama", "migan")
def test_a_users_mistake_is_the_contracts_error(client: RestClient, name: str) -> None:
    mask = encode_mask(np.ones((178, 178), bool))
    answer = client.post(f"/predictions/{name}", **as_multipart(Fill(encode(face()), mask)))
    assert_error(answer, 400, "InvalidMaskException", ("whole",))


def test_an_unknown_model_is_a_404(client: RestClient, server: engines.Engine) -> None:
    fill = Fill(encode(face()), encode_mask(scratch(178, 178, 9)))
    answer = client.post("/predictions/outpaint", **as_multipart(fill))
    if server.name == "onnx":
        assert_error(answer, 404, "ResourceNotFoundException", ("outpaint", "lama", "inpaint"))
    else:  # TorchServe's frontend answers, in the same form with a type of its own
        assert answer.status_code == answer.json()["code"] == 404
        assert answer.json()["type"] == "ModelNotFoundException"
        assert "outpaint" in answer.json()["message"]


def test_the_client_chooses_a_model_by_name(server: engines.Engine) -> None:
    photo, mask = face(200, 150), block(200, 150, 60, 50, 40)
    for name in ("lama", "inpaint"):
        with InpaintClient(server.url, model=name) as client:
            assert client.fill(photo, mask).model == name
            health = client.health()
            assert health.status == "Healthy"
    with (
        InpaintClient(server.url, model="other", retry_for=0) as client,
        pytest.raises(ClientError) as caught,
    ):
        client.fill(photo, mask)
    assert caught.value.code == 404
