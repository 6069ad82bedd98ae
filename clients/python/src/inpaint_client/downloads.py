"""Download images from URLs, from public addresses only."""

import ipaddress
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

import httpx2

from .exceptions import InvalidInputError

MAX_BYTES = 64 * 2**20
_MAX_REDIRECTS = 5

# IPv6 addresses that a translator forwards to the IPv4 address in their last 32 bits (RFC 6052).
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def is_url(source: object) -> bool:
    """Return whether a source is the URL of a web server."""
    return isinstance(source, str) and source.lower().startswith(("http://", "https://"))


def download(url: str, name: str, seconds: float) -> bytes:
    """Return the file at an HTTP or HTTPS URL.

    Private, loopback and other addresses that are not on the public internet are refused, including after a redirect:
    otherwise whoever chooses the URL could read from this process's own network. The connection is made to the address
    that was checked.

    Args:
        url: the URL, without a user name or password.
        name: what the file is, for error messages.
        seconds: how long the download may take in total.

    Raises:
        InvalidInputError: the URL is refused, or the file cannot be downloaded or has more than 64 MiB.
    """
    deadline = time.monotonic() + seconds
    try:
        with httpx2.Client(headers={"Accept-Encoding": "identity"}) as client:
            target = httpx2.URL(url)
            for _ in range(_MAX_REDIRECTS + 1):
                with _get(client, target, deadline) as response:
                    if not response.has_redirect_location:
                        return _read(response, deadline)
                    target = target.join(response.headers["Location"])
            raise _RefusedError(f"it is redirected more than {_MAX_REDIRECTS} times")
    except (OSError, ValueError, httpx2.HTTPError, httpx2.InvalidURL, _RefusedError) as error:
        raise InvalidInputError(f"{name}: cannot download {url[:200]!r}: {error}") from error


class _RefusedError(Exception):
    """The URL or its response is refused."""


@contextmanager
def _get(client: httpx2.Client, url: httpx2.URL, deadline: float) -> Iterator[httpx2.Response]:
    if url.scheme not in ("http", "https") or not url.host or url.userinfo:
        raise _RefusedError("only http and https URLs without a user name are supported")
    port = url.port or (443 if url.scheme == "https" else 80)
    # Connect to the checked address, not to the name, which could resolve to another address by now.
    pinned = url.copy_with(host=_public_address(url.host, port))
    with client.stream(
        "GET",
        pinned,
        headers={"Host": url.netloc.decode("ascii")},
        extensions={"sni_hostname": url.raw_host.decode("ascii")},
        timeout=max(deadline - time.monotonic(), 0.001),
    ) as response:
        yield response


def _public_address(host: str, port: int) -> str:
    """Return an address of a host, all of whose addresses must be public."""
    addresses = [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    for address in addresses:
        if not is_public(address):
            raise _RefusedError(f"{host} is at {address}, which is not a public address")
    return addresses[0]


def is_public(address: str) -> bool:
    """Return whether an IP address, or the IPv4 address that it contains, is on the public internet."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if inner is None and ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
        ip = inner or ip
    return ip.is_global and not ip.is_multicast


def _read(response: httpx2.Response, deadline: float) -> bytes:
    if response.status_code != HTTPStatus.OK:
        raise _RefusedError(f"the status code is {response.status_code}")
    content = bytearray()
    for chunk in response.iter_raw():
        content += chunk
        if len(content) > MAX_BYTES:
            raise _RefusedError(f"it has more than {MAX_BYTES / 2**20:g} MiB")
        if time.monotonic() > deadline:
            raise _RefusedError("it took too long")
    return bytes(content)
