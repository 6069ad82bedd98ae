import io
import itertools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from inpaint_client import (
    ClientError,
    ContractError,
    FillResult,
    InpaintClient,
    InpaintError,
    InvalidInputError,
    Retry,
)
from inpaint_loopback import LoopbackServer, encode, reply
from PIL import Image

REFUSED = reply(400, {"code": 400, "type": "InvalidImageException", "message": "no picture; send a PNG"})


def test_every_kind_of_input_gives_the_same_picture(
    client: InpaintClient,
    tmp_path: Path,
    photo: np.ndarray,
    hole: np.ndarray,
    photo_png: bytes,
    mask_png: bytes,
    filled: np.ndarray,
) -> None:
    image_path, mask_path = tmp_path / "photo.png", tmp_path / "mask.png"
    image_path.write_bytes(photo_png)
    mask_path.write_bytes(mask_png)
    inputs = [
        (image_path, str(mask_path)),
        (photo_png, mask_png),
        (io.BytesIO(photo_png), io.BytesIO(mask_png)),
        (Image.fromarray(photo), Image.fromarray(hole)),
        (photo, hole),
        (photo, hole.astype(np.uint8) * 255),
    ]
    for image, mask in inputs:
        result = client.fill(image, mask)
        np.testing.assert_array_equal(result.to_array(), filled)
        assert (result.width, result.height) == (48, 40)
        assert result.hole_ratio == pytest.approx(hole.mean())
        assert (result.model, result.model_version) == ("inpaint", "1.2")


def test_transparency_stands_in_for_the_mask(
    server: LoopbackServer, client: InpaintClient, photo: np.ndarray, hole: np.ndarray
) -> None:
    cutout = np.dstack([photo, np.where(hole, 0, 255).astype(np.uint8)])
    result = client.fill(cutout)
    assert "mask" not in server.predictions[0].parts
    np.testing.assert_array_equal(result.to_array()[~hole], cutout[~hole])
    assert result.hole_ratio == pytest.approx(hole.mean())


def test_a_missing_mask_is_the_servers_to_refuse(client: InpaintClient, photo: np.ndarray) -> None:
    with pytest.raises(ClientError, match="the mask is missing") as caught:
        client.fill(photo)
    assert (caught.value.code, caught.value.type) == (400, "MissingInputException")


def test_the_output_size_travels(server: LoopbackServer, client: InpaintClient, photo_png: bytes) -> None:
    for asked in ("original", "model"):
        client.fill(photo_png, encode(np.eye(40, 48, dtype=bool)), output_size=asked)
        assert server.predictions[-1].parts["output_size"].content == asked.encode()
    with pytest.raises(InvalidInputError, match="'original' or 'model'"):
        client.fill(photo_png, photo_png, output_size="huge")
    assert len(server.predictions) == 2


def test_bad_input_is_not_sent(server: LoopbackServer, client: InpaintClient, photo_png: bytes) -> None:
    with pytest.raises(InvalidInputError):
        client.fill(photo_png, np.zeros((4, 4), float))
    assert server.requests == []


def test_a_stranger_who_says_ok_is_recognised(
    server: LoopbackServer, client: InpaintClient, photo_png: bytes
) -> None:
    server.on_predict(reply(200, b"<html>welcome</html>"))
    with pytest.raises(ContractError):
        client.fill(photo_png, photo_png)


def test_the_environment_names_server_and_key(
    server: LoopbackServer, monkeypatch: pytest.MonkeyPatch, photo_png: bytes, mask_png: bytes
) -> None:
    monkeypatch.setenv("INPAINT_URL", server.url + "/")
    monkeypatch.setenv("INPAINT_API_KEY", "from-the-environment")
    with InpaintClient() as client:
        assert client.url == server.url
        client.fill(photo_png, mask_png)
    with InpaintClient(server.url, api_key="given") as client:
        client.fill(photo_png, mask_png)
    sent = [request.headers["Authorization"] for request in server.requests]
    assert sent == ["Bearer from-the-environment", "Bearer given"]


def test_without_an_environment_it_is_the_local_server() -> None:
    assert InpaintClient().url == "http://127.0.0.1:8080"


def test_one_connection_serves_many_requests(
    server: LoopbackServer, client: InpaintClient, photo_png: bytes, mask_png: bytes
) -> None:
    accepted = []
    accept = server.get_request
    server.get_request = lambda: accepted.append(accept()) or accepted[-1]
    for _ in range(3):
        client.fill(photo_png, mask_png)
    assert len(accepted) == 1


def test_the_key_is_in_no_repr(server: LoopbackServer) -> None:
    assert "s3cret" not in repr(InpaintClient(server.url, api_key="s3cret"))


def shade(value: int) -> tuple[np.ndarray, np.ndarray]:
    return np.full((4, 4, 3), value, np.uint8), np.eye(4, dtype=bool)


def test_many_come_back_in_order(client: InpaintClient) -> None:
    outcomes = list(client.fill_many([shade(value) for value in range(12)], progress=False))
    assert [outcome.to_array()[0, 1, 0] for outcome in outcomes] == list(range(12))


def test_a_failure_takes_its_place_among_many(client: InpaintClient, tmp_path: Path) -> None:
    pairs = [shade(1), (tmp_path / "none.png", None), shade(2), (shade(3)[0], None)]
    outcomes = list(client.fill_many(pairs, progress=False))
    kinds = [FillResult, InvalidInputError, FillResult, ClientError]
    assert [type(outcome) for outcome in outcomes] == kinds
    assert isinstance(outcomes[1], InpaintError)


def test_many_may_be_endless(client: InpaintClient, server: LoopbackServer) -> None:
    read = 0

    def pairs() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        nonlocal read
        for read in itertools.count(1):
            yield shade(read % 256)

    filling = client.fill_many(pairs(), max_concurrency=2, progress=False)
    assert isinstance(next(filling), FillResult)
    filling.close()
    assert read <= 5


def test_many_refuses_nonsense_at_once(client: InpaintClient) -> None:
    with pytest.raises(InvalidInputError, match="max_concurrency"):
        client.fill_many([], max_concurrency=0)
    with pytest.raises(InvalidInputError, match="output_size"):
        client.fill_many([], output_size="huge")


def test_the_bar_knows_the_total(client: InpaintClient, capfd: pytest.CaptureFixture[str]) -> None:
    list(client.fill_many([shade(1), shade(2)]))
    list(client.fill_many(iter([shade(1), shade(2), shade(3)]), total=3))
    shown = capfd.readouterr().err
    assert "2/2" in shown
    assert "3/3" in shown
    list(client.fill_many([shade(1)], progress=False))
    assert capfd.readouterr().err == ""


def test_a_full_queue_is_waited_out(server: LoopbackServer, photo: np.ndarray, hole: np.ndarray) -> None:
    server.on_predict(*[reply(503, Retry_After="0")] * 6)
    with InpaintClient(server.url, retries=Retry(count=6, backoff=0)) as client:
        outcomes = list(client.fill_many([(photo, hole)] * 4, progress=False))
    assert all(isinstance(outcome, FillResult) for outcome in outcomes)
    assert len(server.predictions) == 10


def run_python(code: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout


def test_importing_it_loads_no_numpy_and_no_server_code() -> None:
    heavy = run_python(
        "import sys, inpaint_client, inpaint_client.cli\n"
        "print(*{'numpy', 'torch', 'serving', 'training', 'fastapi'} & set(sys.modules))"
    )
    assert heavy.strip() == ""


def test_it_works_without_numpy(
    server: LoopbackServer, tmp_path: Path, photo_png: bytes, mask_png: bytes
) -> None:
    (tmp_path / "photo.png").write_bytes(photo_png)
    (tmp_path / "mask.png").write_bytes(mask_png)
    said = run_python(
        "import sys; sys.modules['numpy'] = None\n"
        "from inpaint_client import InpaintClient, InpaintError\n"
        "with InpaintClient(sys.argv[1]) as client:\n"
        "    result = client.fill(sys.argv[2], sys.argv[3])\n"
        "print(result.to_pil().size)\n"
        "try: result.to_array()\n"
        "except InpaintError as error: print(error)\n",
        server.url,
        str(tmp_path / "photo.png"),
        str(tmp_path / "mask.png"),
    )
    assert said.splitlines() == ["(48, 40)", "to_array needs numpy: install inpaint-client[numpy]"]
