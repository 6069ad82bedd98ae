"""The default model, loaded once for all the tests of serving that run it."""

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
