import asyncio
import io
import itertools
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import psutil
import pytest
from inpaint_client import (
    AsyncInpaintClient,
    ClientError,
    FillResult,
    ImageInput,
    InpaintClient,
    InpaintError,
    InvalidInputError,
    InvalidResponseError,
    OutputSize,
)
from inpaint_loopback import Handler, LoopbackServer, encode, predict, reply, stall
from PIL import Image


def test_every_type_of_input_gives_the_same_result(
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
    inputs: list[tuple[ImageInput, ImageInput]] = [
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


def test_transparent_pixels_replace_the_mask(
    server: LoopbackServer, client: InpaintClient, photo: np.ndarray, hole: np.ndarray
) -> None:
    cutout = np.dstack([photo, np.where(hole, 0, 255).astype(np.uint8)])
    result = client.fill(cutout)
    assert "mask" not in server.predictions[0].parts
    np.testing.assert_array_equal(result.to_array()[~hole], cutout[~hole])
    assert result.hole_ratio == pytest.approx(hole.mean())


def test_a_missing_mask_is_rejected_by_the_server(client: InpaintClient, photo: np.ndarray) -> None:
    with pytest.raises(ClientError, match="the mask is missing") as caught:
        client.fill(photo)
    assert (caught.value.code, caught.value.type) == (400, "MissingInputException")


def test_the_output_size_is_sent(server: LoopbackServer, client: InpaintClient, photo_png: bytes) -> None:
    sizes: list[OutputSize] = ["original", "model"]
    for size in sizes:
        client.fill(photo_png, encode(np.eye(40, 48, dtype=bool)), output_size=size)
        assert server.predictions[-1].parts["output_size"].content == size.encode()
    assert set(server.predictions[-1].parts) == {"image", "mask", "output_size"}, (
        "older servers accept no other fields"
    )
    with pytest.raises(InvalidInputError, match="'original' or 'model'"):
        client.fill(photo_png, photo_png, output_size="huge")  # type: ignore[arg-type]
    assert len(server.predictions) == 2


def test_format_and_metadata_are_sent(
    server: LoopbackServer, client: InpaintClient, photo_png: bytes, mask_png: bytes
) -> None:
    client.fill(photo_png, mask_png, output_format="same", metadata="no-location")
    parts = server.predictions[-1].parts
    assert (parts["output_format"].content, parts["metadata"].content) == (b"same", b"no-location")
    list(client.fill_many([(photo_png, mask_png)], metadata="none", progress=False))
    assert server.predictions[-1].parts["metadata"].content == b"none"
    with pytest.raises(InvalidInputError, match="'webp' or 'same'"):
        client.fill(photo_png, mask_png, output_format="gif")  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="'no-location' or 'none'"):
        client.fill(photo_png, mask_png, metadata="some")  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="output_format"):
        client.fill_many([], output_format="gif")  # type: ignore[arg-type]
    assert len(server.predictions) == 2


def test_invalid_input_is_not_sent(server: LoopbackServer, client: InpaintClient, photo_png: bytes) -> None:
    with pytest.raises(InvalidInputError):
        client.fill(photo_png, np.zeros((4, 4), float))
    assert server.requests == []


def test_a_different_service_is_detected(
    server: LoopbackServer, client: InpaintClient, photo_png: bytes
) -> None:
    server.on_predict(reply(200, b"<html>welcome</html>"))
    with pytest.raises(InvalidResponseError):
        client.fill(photo_png, photo_png)


def test_url_and_api_key_default_to_the_environment(
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


def test_the_default_url_is_the_local_server() -> None:
    with InpaintClient() as client:
        assert client.url == "http://127.0.0.1:8080"


def test_connections_are_reused(
    server: LoopbackServer,
    client: InpaintClient,
    monkeypatch: pytest.MonkeyPatch,
    photo_png: bytes,
    mask_png: bytes,
) -> None:
    accepted = []
    accept = server.get_request

    def record() -> tuple[socket.socket, Any]:
        accepted.append(accept())
        return accepted[-1]

    monkeypatch.setattr(server, "get_request", record)
    for _ in range(3):
        client.fill(photo_png, mask_png)
    assert len(accepted) == 1


def test_the_repr_shows_the_settings_without_the_api_key(server: LoopbackServer) -> None:
    with InpaintClient(server.url, api_key="s3cret", timeout=90) as client:
        assert repr(client) == f"InpaintClient('{server.url}', timeout=90, retry_for=60)"


def shade(value: int) -> tuple[np.ndarray, np.ndarray]:
    return np.full((4, 4, 3), value, np.uint8), np.eye(4, dtype=bool)


def test_fill_many_keeps_the_order(client: InpaintClient) -> None:
    results = list(client.fill_many([shade(value) for value in range(12)], progress=False))
    shades = [result.to_array()[0, 1, 0] for result in results if isinstance(result, FillResult)]
    assert shades == list(range(12))


def test_fill_many_yields_exceptions_in_place_of_results(client: InpaintClient, tmp_path: Path) -> None:
    pairs: list[tuple[ImageInput, ImageInput | None]] = [
        shade(1),
        (tmp_path / "none.png", None),
        shade(2),
        (shade(3)[0], None),
    ]
    results = list(client.fill_many(pairs, progress=False))
    kinds = [FillResult, InvalidInputError, FillResult, ClientError]
    assert [type(result) for result in results] == kinds
    assert isinstance(results[1], InpaintError)


def test_fill_many_reads_infinite_input_lazily(client: InpaintClient, server: LoopbackServer) -> None:
    read = 0

    def pairs() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        nonlocal read
        for read in itertools.count(1):
            yield shade(read % 256)

    filling = client.fill_many(pairs(), max_concurrency=2, progress=False)
    assert isinstance(next(filling), FillResult)
    filling.close()
    assert read <= 5


def test_fill_many_rejects_invalid_arguments_at_once(client: InpaintClient) -> None:
    with pytest.raises(InvalidInputError, match="max_concurrency"):
        client.fill_many([], max_concurrency=0)
    with pytest.raises(InvalidInputError, match="output_size"):
        client.fill_many([], output_size="huge")  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="metadata"):
        client.fill_many([], metadata="some")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="output_sise"):
        client.fill_many([], output_sise="model")  # type: ignore[call-arg]


def test_the_progress_bar_shows_the_total(client: InpaintClient, capfd: pytest.CaptureFixture[str]) -> None:
    list(client.fill_many([shade(1), shade(2)]))
    list(client.fill_many(iter([shade(1), shade(2), shade(3)]), total=3))
    shown = capfd.readouterr().err
    assert "2/2" in shown
    assert "3/3" in shown
    list(client.fill_many([shade(1)], progress=False))
    assert capfd.readouterr().err == ""


def test_a_full_queue_is_waited_for(
    client: InpaintClient, server: LoopbackServer, photo: np.ndarray, hole: np.ndarray
) -> None:
    server.on_predict(*[reply(503, Retry_After="0")] * 6)
    results = list(client.fill_many([(photo, hole)] * 4, progress=False))
    assert all(isinstance(result, FillResult) for result in results)
    assert len(server.predictions) == 10


def test_a_connection_opened_during_close_is_closed_after_its_fill(
    server: LoopbackServer, photo_png: bytes, mask_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    opening, closed, look_up = threading.Event(), threading.Event(), socket.getaddrinfo

    def look_up_slowly(*arguments: Any, **options: Any) -> Any:
        opening.set()
        closed.wait(30)
        return look_up(*arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up_slowly)
    client = InpaintClient(server.url)
    with ThreadPoolExecutor(1) as pool:
        filling = pool.submit(client.fill, photo_png, mask_png)
        assert opening.wait(30)
        client.close()
        closed.set()
        assert isinstance(filling.result(), FillResult)
    port = urlsplit(server.url).port
    connections = psutil.Process().net_connections()
    assert not [
        connection for connection in connections if connection.raddr and connection.raddr.port == port
    ]


def test_async_fills_run_concurrently(server: LoopbackServer, photo_png: bytes, mask_png: bytes) -> None:
    together = threading.Barrier(20, timeout=30)

    def wait_for_the_others(handler: Handler) -> None:
        together.wait()
        predict(handler)

    server.usual["/predictions/inpaint"] = wait_for_the_others

    async def fill_all() -> list[FillResult]:
        async with AsyncInpaintClient(server.url) as client:
            return await asyncio.gather(*[client.fill(photo_png, mask_png) for _ in range(20)])

    results = asyncio.run(fill_all())
    assert len({result.png for result in results}) == 1


def test_a_cancelled_async_fill_ends_at_once(
    server: LoopbackServer, photo_png: bytes, mask_png: bytes
) -> None:
    server.usual["/predictions/inpaint"] = stall

    async def cancel() -> None:
        async with AsyncInpaintClient(server.url) as client:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.fill(photo_png, mask_png), 1)

    asyncio.run(cancel())
    assert len(server.predictions) == 1


def run_python(code: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout


def test_the_import_loads_no_numpy_and_no_server_code() -> None:
    heavy = run_python(
        "import sys, inpaint_client, inpaint_client.cli\n"
        "print(*{'numpy', 'torch', 'serving', 'training', 'fastapi'} & set(sys.modules))"
    )
    assert heavy.strip() == ""


def test_the_client_works_without_numpy(
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
    assert said.splitlines() == ["(48, 40)", "to_array requires numpy; install inpaint-client[numpy]"]


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "na me", "é", "a" * 65])
def test_a_model_name_that_cannot_be_part_of_a_url_is_refused(name: str) -> None:
    with pytest.raises(InvalidInputError, match="invalid model name"):
        InpaintClient(model=name)


def test_the_model_name_is_part_of_the_path(
    server: LoopbackServer, photo: np.ndarray, hole: np.ndarray
) -> None:
    server.usual["/predictions/lama-512"] = predict
    with InpaintClient(server.url, model="lama-512") as client:
        client.fill(photo, hole)
        assert client.model == "lama-512"
    assert server.requests[-1].path == "/predictions/lama-512"
