"""Convert the errors of parsing a JSON response."""

import binascii
from collections.abc import Iterator
from contextlib import contextmanager

from .exceptions import InvalidResponseError


@contextmanager
def parsing_response() -> Iterator[None]:
    """Convert exceptions raised by parsing a response in the `with` block to `InvalidResponseError`."""
    try:
        yield
    except KeyError as error:
        raise InvalidResponseError(
            f"the response lacks the field {error}; check that the URL points to an inpainting server"
        ) from error
    except (binascii.Error, TypeError, ValueError) as error:
        raise InvalidResponseError(f"the response is not the expected JSON: {error}") from error
