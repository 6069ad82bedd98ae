"""The default model, loaded once for all serving tests that run it."""

from pathlib import Path

import engines
import pytest

from serving.core.pipeline import Pipeline
from serving.core.runtime import Runtime

_ANOTHER_SYSTEM = """
import os, sys
import psutil  # which needs the modules on Linux

for name in ("sched_getaffinity", "fork", "killpg", "memfd_create"):
    delattr(os, name)
sys.modules.update(fcntl=None, resource=None)
"""


@pytest.fixture(scope="session")
def runtime() -> Runtime:
    return Runtime(engines.MODEL, threads=1)


@pytest.fixture(scope="session")
def pipeline(runtime: Runtime) -> Pipeline:
    return Pipeline(runtime, max_pixels=1_000_000)


@pytest.fixture
def another_system(tmp_path: Path) -> dict[str, str]:
    """An environment in which Python lacks what Windows does not have, some of which macOS lacks too."""
    (tmp_path / "sitecustomize.py").write_text(_ANOTHER_SYSTEM)
    return {"PYTHONPATH": str(tmp_path)}
