import pytest
from engines import Engine
from rest import RestClient


@pytest.fixture(scope="session")
def rest(engine: Engine) -> RestClient:
    """A client of each engine in turn."""
    return RestClient(engine.url)
