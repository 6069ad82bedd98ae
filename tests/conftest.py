"""What all tests share: the engines, each started once and only if a test asks for it."""

import os
from collections.abc import Iterator

import engines
import images
import proxies
import pytest
from rest import RestClient

# PyTorch's threads would mostly wait for each other: the tests' tensors are small, and two tests run at a time.
os.environ.setdefault("OMP_NUM_THREADS", "1")

BARE = ("onnx", "torchserve")
DEPLOYED = (
    *(f"{engine}_{around}" for around in ("behind_nginx", "container") for engine in BARE),
    "ray",
)

# The tier of a test that uses one of these fixtures. A test that starts a process on its own has a marker of its own.
TIERS = {
    "onnx_engine": "engines",
    "torchserve_engine": "engines",
    "ray_engine": "engines",
    "onnx_behind_nginx_engine": "engines",
    "torchserve_behind_nginx_engine": "engines",
    "engine_of_containers": "containers",
    "image": "containers",
    "onnx_image": "containers",
    "torchserve_image": "containers",
    "proxy_image": "containers",
    "report": "slow",  # the fixture of a training run
    "onnx_container_engine": "containers",
    "torchserve_container_engine": "containers",
}

LONGEST_NAMED = 16
"""The most bytes of a value that a test's name shows."""

# Files whose tests train, export or compare whole networks, or build and install packages.
SLOW_FILES = {
    "test_client_distribution.py",
    "test_export_cli.py",
    "test_export_int8.py",
    "test_export_onnx.py",
    "test_export_parity.py",
    "test_training_evaluate.py",
    "test_training_fit.py",
    "test_training_resume.py",
}


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Run a tier two tests at a time, and chosen files in this process: starting workers would take longer."""
    return 2 if config.args_source == config.ArgsSource.TESTPATHS else 0


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name files by their length: a name must be readable and the same in each process, which content may not be."""
    return f"{len(val)} bytes" if isinstance(val, bytes) and len(val) > LONGEST_NAMED else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Behind nginx, in containers and on Ray, run only the contract tests that are marked for it."""
    left_out = {item for item in items if _is_left_out(item)}
    config.hook.pytest_deselected(items=list(left_out))
    items[:] = [item for item in items if item not in left_out]
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item)))
    if hasattr(config, "workerinput"):  # a worker of pytest-xdist: what takes longest goes first
        items.sort(key=_rank)


def _parameters(item: pytest.Item) -> dict[str, object]:
    return item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}


def _is_left_out(item: pytest.Item) -> bool:
    engine, marker = str(_parameters(item).get("engine")), item.get_closest_marker("deployed")
    if engine not in DEPLOYED:
        return False
    return marker is None or not any(place in engine for place in marker.args or DEPLOYED)


def _group(item: pytest.Item) -> str:
    """Name the group that one pytest-xdist worker runs, so that what is slow to start or build is so only once."""
    if item.get_closest_marker("containers"):
        return "containers"
    names = [str(value) for value in _parameters(item).values()] + list(getattr(item, "fixturenames", ()))
    for engine in ("torchserve", "ray"):
        if any(name == engine or name.startswith(f"{engine}_") for name in names):
            return engine
    if item.path.parent.name == "export" and item.get_closest_marker("slow"):
        return "export"
    return str(item.path)


def _rank(item: pytest.Item) -> int:
    tiers = ("containers", "browser", "engines", "slow")
    return next((rank for rank, tier in enumerate(tiers) if item.get_closest_marker(tier)), len(tiers))


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark a test with the tier of the fixtures that it uses, or of its file."""
    if item.path.name in SLOW_FILES:
        item.add_marker("slow")
    tiers = {TIERS[name] for name in getattr(item, "fixturenames", ()) if name in TIERS}
    # The container tier includes what a container is compared with.
    if "containers" in tiers:
        tiers = {"containers"}
    for tier in tiers:
        item.add_marker(tier)


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
def ray_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[engines.Engine]:
    """The server on Ray Serve, on two nodes with a replica each."""
    with engines.ray_serve(tmp_path_factory.mktemp("ray")) as engine:
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
    params=[
        pytest.param(name, marks=getattr(pytest.mark, TIERS[f"{name}_engine"])) for name in BARE + DEPLOYED
    ],
)
def engine(request: pytest.FixtureRequest) -> engines.Engine:
    """Each engine in turn; for tests that are marked `deployed`, also behind nginx, in its container and on Ray."""
    running: engines.Engine = request.getfixturevalue(f"{request.param}_engine")
    return running


@pytest.fixture(scope="session")
def rest(engine: engines.Engine) -> RestClient:
    """A client of each engine in turn."""
    return RestClient(engine.url)
