"""The default model, loaded once for all the tests of serving that run it."""

from pathlib import Path

import engines
import pytest

from serving.core.pipeline import Pipeline
from serving.core.runtime import Runtime


@pytest.fixture(scope="session")
def runtime() -> Runtime:
    return Runtime(engines.MODEL, threads=1)


@pytest.fixture(scope="session")
def pipeline(runtime: Runtime) -> Pipeline:
    return Pipeline(runtime, max_pixels=1_000_000)


@pytest.fixture
def another_system(tmp_path: Path) -> dict[str, str]:
    """An environment in which Python lacks what only Linux has."""
    (tmp_path / "sitecustomize.py").write_text("import os\nvars(os).pop('sched_getaffinity', None)\n")
    return {"PYTHONPATH": str(tmp_path)}
