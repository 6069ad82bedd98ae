import copy
import pickle

import inpaint_client
import pytest
from inpaint_client import ClientError, InpaintError, InvalidInputError, ServerError


def test_all_exceptions_have_one_base_class() -> None:
    exported = [getattr(inpaint_client, name) for name in inpaint_client.__all__]
    errors = [value for value in exported if isinstance(value, type) and issubclass(value, Exception)]
    assert len(errors) == 10
    assert all(issubclass(error, InpaintError) for error in errors)


def test_invalid_input_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="wrong"):
        raise InvalidInputError("wrong")


@pytest.mark.parametrize("kind", [ClientError, ServerError])
def test_a_status_error_can_be_copied_and_pickled(kind: type[ServerError]) -> None:
    error = kind(503, "Busy", "try later", 2.0, "GET http://127.0.0.1/ping")
    for twin in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert (twin.code, twin.type, twin.message) == (503, "Busy", "try later")
        assert (twin.retry_after, twin.request) == (2.0, "GET http://127.0.0.1/ping")
        assert str(twin) == str(error) == "try later (503 Busy, GET http://127.0.0.1/ping)"
