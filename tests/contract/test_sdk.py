"""The Python client on both engines: the same results and the same errors."""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import deviations
import numpy as np
import pytest
from engines import Engine, free_port
from hostile_files import png_bomb
from inpaint_client import ClientError, ConnectError, FillResult, ImageInput, InpaintClient, InvalidInputError
from PIL import Image
from requests_in_flight import PATIENCE
from rest import Fill, RestClient
from sample_pictures import as_mask, encode, encode_mask, face, scratch

HEIGHT, WIDTH = 200, 150
PHOTO, HOLE = face(HEIGHT, WIDTH), scratch(HEIGHT, WIDTH, 7)


@pytest.fixture(scope="module")
def client(engine: Engine) -> Iterator[InpaintClient]:
    with InpaintClient(engine.url) as client:
        yield client


@pytest.fixture(scope="module")
def expected(rest: RestClient) -> np.ndarray:
    """The response of the REST API, HW3 uint8."""
    return rest.fill(Fill(encode(PHOTO), encode_mask(HOLE))).rgb


def as_path(file: bytes, folder: Path, name: str) -> Path:
    path = folder / name
    path.write_bytes(file)
    return path


# Types of inputs: (encoded file, folder to write to, name) -> argument of `fill`.
SOURCES: dict[str, Callable[[bytes, Path, str], ImageInput]] = {
    "path": as_path,
    "str-path": lambda file, folder, name: str(as_path(file, folder, name)),
    "bytes": lambda file, folder, name: file,
    "file": lambda file, folder, name: io.BytesIO(file),
    "pillow": lambda file, folder, name: Image.open(io.BytesIO(file)),
    "array": lambda file, folder, name: np.asarray(Image.open(io.BytesIO(file))),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_fill_accepts_every_type_of_input(
    client: InpaintClient, expected: np.ndarray, tmp_path: Path, kind: str
) -> None:
    photo = SOURCES[kind](encode(PHOTO), tmp_path, "photo.png")
    mask = SOURCES[kind](encode_mask(HOLE), tmp_path, "mask.png")
    result = client.fill(photo, mask)
    assert (result.to_array() == expected).all()
    assert (np.asarray(result.to_pil()) == expected).all()
    assert (result.width, result.height) == (WIDTH, HEIGHT)
    assert result.hole_ratio == pytest.approx(HOLE.mean(), abs=1e-6)
    result.save(tmp_path / "filled.png")
    assert (np.asarray(Image.open(tmp_path / "filled.png")) == expected).all()


@pytest.mark.deployed
def test_fill_accepts_a_bool_mask(client: InpaintClient, expected: np.ndarray) -> None:
    assert (client.fill(PHOTO, HOLE).to_array() == expected).all()


def test_fill_uses_transparent_pixels_as_the_mask(client: InpaintClient, expected: np.ndarray) -> None:
    cut_out = np.dstack([PHOTO, 255 - as_mask(HOLE)])
    assert (client.fill(cut_out).to_array()[:, :, :3] == expected).all()


def test_fill_at_the_models_size(client: InpaintClient) -> None:
    result = client.fill(PHOTO, HOLE, output_size="model")
    assert result.to_array().shape == (178, 178, 3)


@pytest.mark.deployed
def test_a_result_has_the_requests_id_and_the_servers_time(client: InpaintClient, engine: Engine) -> None:
    result = client.fill(PHOTO, HOLE)
    assert result.request_id
    assert ("run" in result.seconds) is (engine.name != "torchserve")


@pytest.mark.deployed
def test_fill_many_keeps_the_order_and_continues_after_a_failure(client: InpaintClient) -> None:
    pairs: list[tuple[ImageInput, ImageInput]] = [(np.roll(PHOTO, shift, axis=1), HOLE) for shift in range(5)]
    alone = [client.fill(*pair).png for pair in pairs]
    pairs.insert(2, (PHOTO, np.ones_like(HOLE)))
    outcomes = list(client.fill_many(pairs, max_concurrency=3, progress=False))
    failure = outcomes.pop(2)
    assert isinstance(failure, ClientError)
    assert failure.type == "InvalidMaskException"
    assert [outcome.png for outcome in outcomes if isinstance(outcome, FillResult)] == alone


@pytest.mark.deployed
def test_health_and_readiness(client: InpaintClient, engine: Engine, rest: RestClient) -> None:
    assert client.health().status == "Healthy"
    ready = client.wait_until_ready(timeout=PATIENCE)
    assert ready.status == "Healthy"
    facts = rest.fill(Fill(encode(PHOTO), encode_mask(HOLE))).facts
    assert ready.model_version == facts["model_version"]
    assert ready.server == deviations.of(engine).server


@dataclass(frozen=True)
class Rejected:
    """A pair that the server rejects, and its error."""

    pair: Callable[[], tuple[ImageInput, ImageInput | None]]
    code: int
    type: str
    contains: tuple[str, ...]


REJECTED = {
    "text": Rejected(lambda: (b"a letter", HOLE), 400, "InvalidImageException", ("image", "PNG")),
    "truncated": Rejected(
        lambda: (PHOTO, encode_mask(HOLE)[:-60]), 400, "InvalidMaskException", ("mask", "decoded")
    ),
    "no-mask": Rejected(lambda: (PHOTO, None), 400, "MissingInputException", ("mask",)),
    "other-size": Rejected(
        lambda: (PHOTO, HOLE[:-1]), 400, "MaskSizeMismatchException", ("150x199", "150x200")
    ),
    "all-hole": Rejected(lambda: (PHOTO, np.ones_like(HOLE)), 400, "InvalidMaskException", ("whole",)),
    "bomb": Rejected(
        lambda: (png_bomb(30_000, 30_000), HOLE), 413, "TooManyPixelsException", ("30000x30000",)
    ),
}


@pytest.mark.parametrize("name", REJECTED)
def test_a_rejected_pair_is_a_client_error(client: InpaintClient, name: str) -> None:
    rejected = REJECTED[name]
    with pytest.raises(ClientError) as caught:
        client.fill(*rejected.pair())
    assert (caught.value.code, caught.value.type) == (rejected.code, rejected.type)
    for word in rejected.contains:
        assert word in caught.value.message
    assert client.fill(PHOTO, HOLE).width == WIDTH


@pytest.mark.deployed
def test_a_body_over_the_limit_is_a_client_error_that_names_its_size(client: InpaintClient) -> None:
    with pytest.raises(ClientError, match="413") as caught:
        client.fill(bytes(65 * 2**20), HOLE)
    assert caught.value.code == 413
    assert "bytes" in caught.value.message or "MB" in caught.value.message


def test_invalid_input_is_not_sent(client: InpaintClient, tmp_path: Path) -> None:
    for image in (tmp_path / "nowhere.png", b"", PHOTO.astype(np.float64)):
        with pytest.raises(InvalidInputError, match="image"):
            client.fill(image, HOLE)


def test_a_server_that_is_down_is_a_connect_error() -> None:
    with InpaintClient(f"http://127.0.0.1:{free_port()}", retry_for=0) as client, pytest.raises(ConnectError):
        client.fill(PHOTO, HOLE)
