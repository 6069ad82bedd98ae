import copy

import inpaint_client
import pytest
from inpaint_client import ClientError, InpaintError, InvalidInputError, ServerError


def test_one_root_catches_them_all() -> None:
    errors = [
        value
        for value in vars(inpaint_client).values()
        if isinstance(value, type) and issubclass(value, Exception)
    ]
    assert len(errors) == 10
    assert all(issubclass(error, InpaintError) for error in errors)


def test_invalid_input_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="wrong"):
        raise InvalidInputError("wrong")


@pytest.mark.parametrize("kind", [ClientError, ServerError])
def test_a_response_error_survives_copying(kind: type[ServerError]) -> None:
    error = kind(503, "Busy", "try later", 2.0, "GET http://127.0.0.1/ping")
    twin = copy.copy(error)
    assert (twin.code, twin.type, twin.message) == (503, "Busy", "try later")
    assert (twin.retry_after, twin.request) == (2.0, "GET http://127.0.0.1/ping")
    assert str(twin) == str(error) == "try later (503 Busy, GET http://127.0.0.1/ping)"
