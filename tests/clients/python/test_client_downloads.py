"""URLs as inputs: only if they are allowed, only at public addresses, and within limits of size and time."""

from pathlib import Path

import numpy as np
import pytest
from inpaint_client import InpaintClient, InvalidInputError, cli, downloads
from inpaint_loopback import LoopbackServer, reply, stall


@pytest.fixture
def photo_url(server: LoopbackServer, photo_png: bytes, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of the photo, on a host whose address counts as public in this test."""
    monkeypatch.setattr(downloads, "is_public", lambda address: address == "127.0.0.1")
    server.usual["/photo.png"] = reply(200, photo_png)
    return f"http://localhost:{server.server_port}/photo.png"


def test_urls_are_refused_unless_they_are_allowed(
    client: InpaintClient, photo_url: str, mask_png: bytes
) -> None:
    with pytest.raises(InvalidInputError, match=r"image: .*photo.png' is a URL; pass allow_urls=True"):
        client.fill(photo_url, mask_png)


def test_allowed_urls_are_downloaded(
    server: LoopbackServer, client: InpaintClient, photo_url: str, mask_png: bytes, filled: np.ndarray
) -> None:
    server.usual["/moved"] = reply(302, Location="/photo.png")
    server.usual["/mask.png"] = reply(200, mask_png)
    for path in ("/photo.png", "/moved"):
        url = photo_url.replace("/photo.png", path)
        result = client.fill(url, photo_url.replace("photo", "mask"), allow_urls=True)
        np.testing.assert_array_equal(result.to_array(), filled)
    downloaded = [request for request in server.requests if request.path == "/photo.png"]
    assert {request.headers["Host"] for request in downloaded} == {f"localhost:{server.server_port}"}


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "0.0.0.0", "10.1.2.3", "192.168.0.1", "169.254.169.254", "100.64.0.1", "224.0.0.1"),
        *(
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "::ffff:127.0.0.1",
            "2002:7f00:1::",
            "64:ff9b::a01:203",
            "ff0e::1",
        ),
    ],
)
def test_addresses_of_private_networks_are_not_public(address: str) -> None:
    assert not downloads.is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2001:4860:4860::8888", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_addresses_of_the_internet_are_public(address: str) -> None:
    assert downloads.is_public(address)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433", "0"])
def test_a_url_of_this_machine_is_refused(
    server: LoopbackServer, client: InpaintClient, mask_png: bytes, host: str
) -> None:
    url = f"http://{host}:{server.server_port}/photo.png"
    with pytest.raises(InvalidInputError, match=r"image: cannot download .*not a public address"):
        client.fill(url, mask_png, allow_urls=True)
    assert server.requests == []


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("http://127.0.0.2/secret", "127.0.0.2 is at 127.0.0.2, which is not a public address"),
        ("file:///etc/passwd", "only http and https"),
        ("/photo.png", "redirected more than 5 times"),
    ],
)
def test_a_redirect_is_checked_as_well(
    server: LoopbackServer,
    client: InpaintClient,
    photo_url: str,
    mask_png: bytes,
    location: str,
    message: str,
) -> None:
    server.usual["/photo.png"] = reply(302, Location=location)
    with pytest.raises(InvalidInputError, match=message):
        client.fill(photo_url, mask_png, allow_urls=True)


def test_a_download_has_limits(
    server: LoopbackServer, photo_url: str, mask_png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with InpaintClient(server.url, timeout=0.5) as client:
        with pytest.raises(InvalidInputError, match="only http and https URLs without a user name"):
            client.fill(photo_url.replace("://", "://me:secret@"), mask_png, allow_urls=True)
        with pytest.raises(InvalidInputError, match="the status code is 404"):
            client.fill(photo_url + "x", mask_png, allow_urls=True)
        monkeypatch.setattr(downloads, "MAX_BYTES", 2**10)
        with pytest.raises(InvalidInputError, match="it has more than"):
            client.fill(photo_url, mask_png, allow_urls=True)
        server.usual["/photo.png"] = stall
        with pytest.raises(InvalidInputError, match="timed out"):
            client.fill(photo_url, mask_png, allow_urls=True)


def test_the_command_downloads_urls_only_if_they_are_allowed(
    server: LoopbackServer,
    photo_url: str,
    mask_png: bytes,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (mask := tmp_path / "mask.png").write_bytes(mask_png)
    command = ["fill", photo_url, str(mask), "-o", f"{tmp_path}/out.png", "--url", server.url]
    assert cli.main(command) == 2
    assert "--allow-urls" in capsys.readouterr().err
    assert cli.main([*command, "--allow-urls"]) == 0
    command = [
        "fill",
        photo_url,
        photo_url,
        "--mask",
        str(mask),
        "-o",
        f"{tmp_path}/out/",
        "--url",
        server.url,
    ]
    assert cli.main([*command, "--allow-urls"]) == 2
    assert "a URL can only be used with one photo" in capsys.readouterr().err
