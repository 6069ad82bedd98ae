import asyncio
import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from inpaint_client import (
    AsyncInpaintClient,
    ClientError,
    InpaintClient,
    InvalidInputError,
    InvalidResponseError,
    Marks,
)
from inpaint_loopback import LoopbackServer, drop, encode, reply

PNG = encode(np.eye(40, 48, dtype=np.uint8) * 255)
BODY = {"mask": base64.b64encode(PNG).decode(), "width": 48, "height": 40, "share": 0.02}


@pytest.fixture
def client(server: LoopbackServer) -> Iterator[InpaintClient]:
    with InpaintClient(server.url, retry_for=5) as client:
        yield client


def test_the_mask_is_decoded_and_saved(client: InpaintClient, photo: np.ndarray, tmp_path: Path) -> None:
    marks = client.find_marks(photo, sensitivity=0.2)
    assert marks.to_array().shape == photo.shape[:2] == (marks.height, marks.width)
    assert marks.to_array().mean() == pytest.approx(marks.share)
    assert 0 < marks.share < 0.2
    assert marks.to_pil().mode == "L"
    assert marks._repr_png_() == marks.mask
    marks.save(tmp_path / "mask.png")
    assert (tmp_path / "mask.png").read_bytes() == marks.mask
    with pytest.raises(InvalidInputError, match=r"ends in \.png"):
        marks.save(tmp_path / "mask.jpg")


def test_a_lost_connection_is_retried(
    client: InpaintClient, server: LoopbackServer, photo: np.ndarray
) -> None:
    server.script["/masks/marks"] = [drop]
    assert client.find_marks(photo).share > 0
    assert [request.path for request in server.requests] == ["/masks/marks"] * 2


def test_the_async_client_finds_the_same_marks(server: LoopbackServer, photo: np.ndarray) -> None:
    async def find() -> Marks:
        async with AsyncInpaintClient(server.url) as client:
            return await client.find_marks(photo, sensitivity=0.7)

    with InpaintClient(server.url) as client:
        assert asyncio.run(find()) == client.find_marks(photo, sensitivity=0.7)


@pytest.mark.parametrize("sensitivity", [-0.1, 1.1, float("nan")])
def test_an_invalid_sensitivity_is_not_sent(
    client: InpaintClient, server: LoopbackServer, photo: np.ndarray, sensitivity: float
) -> None:
    with pytest.raises(InvalidInputError, match=r"sensitivity is .*; it must be in \[0, 1\]"):
        client.find_marks(photo, sensitivity=sensitivity)
    assert not server.requests


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mask": None}, "not the expected JSON"),
        ({"mask": "####"}, "not the expected JSON"),
        ({"mask": base64.b64encode(b"text").decode()}, "not a PNG"),
        ({"share": "much"}, "not the expected JSON"),
    ],
)
def test_an_unexpected_response_is_an_error(
    client: InpaintClient, server: LoopbackServer, photo: np.ndarray, change: dict[str, Any], message: str
) -> None:
    server.usual["/masks/marks"] = reply(200, BODY | change)
    with pytest.raises(InvalidResponseError, match=message):
        client.find_marks(photo)


def test_a_response_without_a_field_is_an_error(
    client: InpaintClient, server: LoopbackServer, photo: np.ndarray
) -> None:
    server.usual["/masks/marks"] = reply(200, {"width": 48})
    with pytest.raises(InvalidResponseError, match="lacks the field 'mask'"):
        client.find_marks(photo)


def test_a_damaged_mask_is_an_error() -> None:
    marks = Marks(mask=PNG[:60], width=48, height=40, share=0.02)
    with pytest.raises(InvalidResponseError, match="cannot be decoded"):
        marks.to_array()


def test_a_server_that_cannot_find_marks_is_an_error(
    client: InpaintClient, server: LoopbackServer, photo: np.ndarray
) -> None:
    server.usual["/masks/marks"] = reply(404, {"code": 404, "type": "NotFound", "message": "no such path"})
    with pytest.raises(ClientError, match="no such path") as raised:
        client.find_marks(photo)
    assert raised.value.code == 404
