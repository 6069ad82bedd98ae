"""How to reach a server from the machine that it runs on: its URL, and commands to try it."""

import shlex
import shutil
import sys
from pathlib import Path
from typing import Final

from serving.core.graph import MODEL_NAME

_LOOPBACK: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (nothing is bound here)


def local_url(host: str, port: int) -> str:
    """Return the URL at which this machine reaches a server that listens on `host`, a name or an IP address."""
    reachable = _LOOPBACK.get(host, host)
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def example_commands(url: str, model: str, key: str = "") -> str:
    """Return shell commands for a prediction: with curl and, if installed, with the command line client.

    Args:
        url: the server's URL.
        model: the model's name.
        key: curl's option for the API key, with a leading space.
    """
    files = '-F image=@photo.jpg -F mask=@mask.png -H "Accept: image/png"'
    lines = [f"  curl{key} {files} {url}/predictions/{model} -o filled.png"]
    if client := _client():
        named = "" if model == MODEL_NAME else f" --model {model}"
        lines.append(f"  {client} fill photo.jpg mask.png -o filled.png --url {url}{named}")
    return "\n".join(lines)


def _client() -> str | None:
    """Return the client's command: its name if it is on the PATH, or else its path beside this Python."""
    if shutil.which("inpaint"):
        return "inpaint"
    beside = Path(sys.executable).with_name("inpaint")
    return shlex.quote(str(beside)) if beside.is_file() else None
