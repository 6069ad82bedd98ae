import os
from collections.abc import Iterator

import numpy as np
import pytest
from inpaint_client import InpaintClient, Retry
from inpaint_loopback import LoopbackServer, encode


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("INPAINT_URL", "INPAINT_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("NETRC", os.devnull)


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    server = LoopbackServer()
    yield server
    server.stop()


@pytest.fixture
def client(server: LoopbackServer) -> Iterator[InpaintClient]:
    """A client that repeats without waiting."""
    with InpaintClient(server.url, retries=Retry(backoff=0)) as client:
        yield client


@pytest.fixture
def photo() -> np.ndarray:
    """A picture HWC uint8 RGB of 40x48 pixels, no two rows alike."""
    return np.random.default_rng(7).integers(0, 256, (40, 48, 3), dtype=np.uint8)


@pytest.fixture
def hole() -> np.ndarray:
    """A mask HW bool for it: a stroke of 5x20 pixels, 5.2 % of it."""
    mask = np.zeros((40, 48), dtype=bool)
    mask[10:15, 8:28] = True
    return mask


@pytest.fixture
def filled(photo: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """What the loopback server makes of the two."""
    expected = photo.copy()
    expected[hole] = photo[~hole].mean(axis=0).round().astype(np.uint8)
    return expected


@pytest.fixture
def photo_png(photo: np.ndarray) -> bytes:
    return encode(photo)


@pytest.fixture
def mask_png(hole: np.ndarray) -> bytes:
    return encode(hole.astype(np.uint8) * 255)
