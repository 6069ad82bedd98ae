import warnings
from pathlib import Path

import engines
import pytest

from export.mar import build_mar

with warnings.catch_warnings():
    warnings.simplefilter("ignore", ResourceWarning)  # it leaves a file open
    import ts  # noqa: F401


@pytest.fixture(scope="session")
def mar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The default model's archive."""
    return build_mar(engines.MODEL, tmp_path_factory.mktemp("mar"))
