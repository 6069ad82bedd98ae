"""What all tests share: the engines, each started once and only if a test asks for it."""

import os
from collections.abc import Iterator

import engines
import images
import proxies
import pytest

ENGINES = ("onnx", "torchserve")


@pytest.fixture(scope="session", autouse=True)
def _plain_environment() -> Iterator[None]:
    """Keep the tester's proxies, netrc and client settings out of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("INPAINT_URL", "INPAINT_API_KEY"):
            patch.delenv(name, raising=False)
        patch.setenv("NO_PROXY", "127.0.0.1")
        patch.setenv("NETRC", os.devnull)
        yield


@pytest.fixture(scope="session")
def onnx_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[engines.Engine]:
    """The ONNX Runtime server with its default settings."""
    with engines.onnx_server(tmp_path_factory.mktemp("onnx")) as engine:
        yield engine


@pytest.fixture(scope="session")
def torchserve_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[engines.Engine]:
    """TorchServe with its default settings."""
    with engines.torchserve(tmp_path_factory.mktemp("torchserve")) as engine:
        yield engine


@pytest.fixture(scope="session")
def onnx_behind_nginx_engine(onnx_engine: engines.Engine) -> Iterator[engines.Engine]:
    """The ONNX Runtime server through the reverse proxy."""
    with proxies.nginx(f"127.0.0.1:{onnx_engine.port}") as proxy:
        yield proxy.before(onnx_engine)


@pytest.fixture(scope="session")
def torchserve_behind_nginx_engine(torchserve_engine: engines.Engine) -> Iterator[engines.Engine]:
    """TorchServe through the reverse proxy."""
    with proxies.nginx(f"127.0.0.1:{torchserve_engine.port}") as proxy:
        yield proxy.before(torchserve_engine)


@pytest.fixture(scope="session")
def onnx_image() -> str:
    """The image of the ONNX Runtime server for CPUs."""
    return images.containers().image("onnx")


@pytest.fixture(scope="session")
def torchserve_image() -> str:
    """The image of TorchServe for CPUs."""
    return images.containers().image("torchserve")


@pytest.fixture(scope="session")
def onnx_container_engine(
    onnx_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[engines.Engine]:
    """The ONNX Runtime server in its container."""
    folder = tmp_path_factory.mktemp("onnx-container")
    with images.containers().engine("onnx", onnx_image, folder) as engine:
        yield engine


@pytest.fixture(scope="session")
def torchserve_container_engine(
    torchserve_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[engines.Engine]:
    """TorchServe in its container."""
    folder = tmp_path_factory.mktemp("torchserve-container")
    with images.containers().engine("torchserve", torchserve_image, folder) as engine:
        yield engine


@pytest.fixture(
    scope="session",
    params=[f"{engine}{around}" for around in ("", "_behind_nginx", "_container") for engine in ENGINES],
)
def engine(request: pytest.FixtureRequest) -> engines.Engine:
    """Each of the two engines, by itself, through the reverse proxy, and in its container."""
    running: engines.Engine = request.getfixturevalue(f"{request.param}_engine")
    return running
