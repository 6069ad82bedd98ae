"""Authorization by an optional API key."""

import secrets
from typing import Annotated

from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from serving.core.errors import UnauthorizedError
from serving.http.dependencies import ServiceDep

_bearer = HTTPBearer(auto_error=False, description="The server's API key, if it was started with one.")


async def require_key(
    service: ServiceDep, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> None:
    """Refuse a request without the server's API key, if the server has one.

    Raises:
        UnauthorizedError: the key is missing or wrong.
    """
    key = service.settings.api_key
    if key is None:
        return
    # Headers are decoded as Latin-1: encode to the original bytes, for a constant-time comparison.
    sent = given.credentials.encode("latin-1") if given else b""
    if not secrets.compare_digest(sent, key.get_secret_value().encode()):
        raise UnauthorizedError("This server requires an API key: send it as 'Authorization: Bearer KEY'.")
