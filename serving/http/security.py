"""Who may ask: an optional API key."""

import secrets
from typing import Annotated

from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from serving.core.errors import UnauthorizedException
from serving.http.dependencies import ServiceDep

_bearer = HTTPBearer(auto_error=False, description="The server's API key, where it was started with one.")


async def require_key(
    service: ServiceDep, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> None:
    """Refuse a request that does not carry the server's API key, where it has one.

    Raises:
        UnauthorizedException: the key is missing or another one.
    """
    key = service.settings.api_key
    if key is None:
        return
    # Headers are decoded as Latin-1; compared as the bytes that came, in a time that tells nothing about them.
    sent = given.credentials.encode("latin-1") if given else b""
    if not secrets.compare_digest(sent, key.get_secret_value().encode()):
        raise UnauthorizedException(
            "This server asks for an API key: send it as 'Authorization: Bearer KEY'."
        )
