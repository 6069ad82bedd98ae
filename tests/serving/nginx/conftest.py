from collections.abc import Iterator
from pathlib import Path

import pytest
from engines import Engine
from nginx_requests import INDEX
from proxies import Proxy, nginx, readable_folder


@pytest.fixture(scope="session")
def page() -> Iterator[Path]:
    """A built page: an index, and a script whose name contains the hash of its content."""
    with readable_folder() as folder:
        assets = folder / "_app" / "immutable"
        assets.mkdir(parents=True)
        (folder / "index.html").write_text(INDEX)
        (assets / "start.4f2a.js").write_text("console.log('started')\n" * 100)
        yield folder


@pytest.fixture(scope="session")
def proxy(onnx_engine: Engine, page: Path) -> Iterator[Proxy]:
    """nginx with its own settings, in front of one ONNX Runtime server."""
    with nginx(f"127.0.0.1:{onnx_engine.port}", page=str(page)) as running:
        yield running
