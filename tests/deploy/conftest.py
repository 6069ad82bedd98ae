import pytest
from engines import ROOT
from images import Containers, containers

TARGETS = ("onnx", "torchserve", "proxy")


@pytest.fixture(scope="session")
def engine_of_containers() -> Containers:
    """The container engine that builds and runs images on this machine."""
    return containers()


@pytest.fixture(scope="session")
def proxy_image() -> str:
    """The image of the page and the reverse proxy."""
    return containers().image("proxy")


@pytest.fixture(scope="session", params=TARGETS)
def image(request: pytest.FixtureRequest) -> str:
    """Each of the CPU images."""
    return str(request.getfixturevalue(f"{request.param}_image"))


@pytest.fixture(scope="session")
def dockerfile() -> str:
    return (ROOT / "Dockerfile").read_text()
