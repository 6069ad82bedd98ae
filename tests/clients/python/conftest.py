import asyncio
from collections.abc import Generator, Iterator
from typing import Any

import numpy as np
import pytest
from inpaint_client import AsyncInpaintClient, FillResult, Health, InpaintClient, InpaintError, transport
from inpaint_loopback import LoopbackServer, encode


@pytest.fixture(autouse=True)
def _default_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("INPAINT_URL", "INPAINT_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture(autouse=True)
def _short_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry within milliseconds."""
    monkeypatch.setattr(transport, "_BACKOFF_SECONDS", 0.002)
    monkeypatch.setattr(transport, "_MAX_BACKOFF_SECONDS", 0.02)


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    server = LoopbackServer()
    yield server
    server.stop()


class BlockingAsyncClient:
    """Runs the methods of `AsyncInpaintClient` from synchronous tests."""

    def __init__(self, url: str) -> None:
        self._runner = asyncio.Runner()
        self._client = AsyncInpaintClient(url)

    def fill(self, *args: Any, **kwargs: Any) -> FillResult:
        return self._runner.run(self._client.fill(*args, **kwargs))

    def fill_many(self, *args: Any, **kwargs: Any) -> Generator[FillResult | InpaintError, None, None]:
        results = self._client.fill_many(*args, **kwargs)

        async def following() -> FillResult | InpaintError | None:
            return await anext(results, None)

        def iterate() -> Generator[FillResult | InpaintError, None, None]:
            try:
                while (result := self._runner.run(following())) is not None:
                    yield result
            finally:
                self._runner.run(results.aclose())

        return iterate()

    def health(self) -> Health:
        return self._runner.run(self._client.health())

    def wait_until_ready(self, **kwargs: Any) -> Health:
        return self._runner.run(self._client.wait_until_ready(**kwargs))

    def close(self) -> None:
        self._runner.run(self._client.aclose())
        self._runner.close()


@pytest.fixture
def sync_client(server: LoopbackServer) -> Iterator[InpaintClient]:
    with InpaintClient(server.url) as client:
        yield client


@pytest.fixture(params=["sync", "async"])
def client(request: pytest.FixtureRequest, server: LoopbackServer) -> Iterator[Any]:
    """Each of the two clients."""
    client = InpaintClient(server.url) if request.param == "sync" else BlockingAsyncClient(server.url)
    yield client
    client.close()


@pytest.fixture
def photo() -> np.ndarray:
    """A random image, HWC uint8 RGB, 40x48 pixels."""
    return np.random.default_rng(7).integers(0, 256, (40, 48, 3), dtype=np.uint8)


@pytest.fixture
def hole() -> np.ndarray:
    """The mask of `photo`, HW bool: a rectangle of 5x20 pixels, 5.2 % of the image."""
    mask = np.zeros((40, 48), dtype=bool)
    mask[10:15, 8:28] = True
    return mask


@pytest.fixture
def filled(photo: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """The result of the loopback server for `photo` and `hole`."""
    expected = photo.copy()
    expected[hole] = photo[~hole].mean(axis=0).round().astype(np.uint8)
    return expected


@pytest.fixture
def photo_png(photo: np.ndarray) -> bytes:
    return encode(photo)


@pytest.fixture
def mask_png(hole: np.ndarray) -> bytes:
    return encode(hole.astype(np.uint8) * 255)
