"""The reverse proxy as a real nginx, started by its own script as an unprivileged user."""

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import needs
import requests
from engines import ROOT, Engine, free_port

START = ROOT / "serving" / "nginx" / "start.sh"

_NOBODY = 65534
_START_SECONDS = 180
_STOP_SECONDS = 180


@dataclass(frozen=True)
class Proxy:
    """A running nginx.

    Attributes:
        port: where it listens, on loopback.
        folder: what it may write to; others may read what is in it.
        process: nginx's master process.
    """

    port: int
    folder: Path
    process: "subprocess.Popen[bytes]"

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def access_log(self) -> Path:
        """One JSON object for each request."""
        return self.folder / "access.log"

    @property
    def log(self) -> Path:
        """What nginx itself prints."""
        return self.folder / "nginx.log"

    def before(self, engine: Engine) -> Engine:
        """The engine as seen through this proxy."""
        return replace(engine, port=self.port, proxied=True)


@contextmanager
def nginx(*engines: str, **settings: str) -> Iterator[Proxy]:
    """Run the proxy in front of engines at these addresses, `host:port`; settings are start.sh's, in lower case."""
    needs.programs(nginx="nginx-light", envsubst="gettext-base")
    with readable_folder() as folder, _nginx(folder, engines, settings) as proxy:
        yield proxy


@contextmanager
def readable_folder() -> Iterator[Path]:
    """A temporary folder that other users may read, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="inpaint-nginx-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@contextmanager
def _nginx(folder: Path, engines: tuple[str, ...], settings: dict[str, str]) -> Iterator[Proxy]:
    port = free_port()
    own = {
        "engines": " ".join(engines),
        "port": f"127.0.0.1:{port}",
        "run": str(folder / "run"),
        "access_log": str(folder / "access.log"),
        **settings,
    }
    environment = {f"PROXY_{name.upper()}": value for name, value in own.items()}
    user = _give_away(folder)
    with (folder / "nginx.log").open("wb") as log:
        process = subprocess.Popen(
            [str(START)],
            env={"PATH": needs.PATH, **environment},
            stdout=log,
            stderr=log,
            start_new_session=True,
            user=user,
        )
    proxy = Proxy(port, folder, process)
    try:
        _wait_until_it_answers(proxy)
        yield proxy
    finally:
        process.terminate()
        process.wait(_STOP_SECONDS)


def _give_away(folder: Path) -> int | None:
    """If this is root, give the folder to an unprivileged user, and return that user's id."""
    if os.getuid() != 0:
        return None
    os.chown(folder, _NOBODY, _NOBODY)
    return _NOBODY


def _wait_until_it_answers(proxy: Proxy) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and proxy.process.poll() is None:
        try:
            requests.get(f"{proxy.url}/nothing", timeout=_START_SECONDS)
        except requests.ConnectionError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError(f"nginx does not answer. It says:\n{proxy.log.read_text()}")
