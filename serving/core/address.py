"""The URL of a server, for people on the machine that it runs on."""

from typing import Final

_LOOPBACK: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (nothing is bound here)


def local_url(host: str, port: int) -> str:
    """Return the URL at which this machine reaches a server that listens on `host`, a name or an IP address."""
    reachable = _LOOPBACK.get(host, host)
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"
