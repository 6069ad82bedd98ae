"""How to reach a server from the machine that it runs on: its URL, and commands to try it."""

from typing import Final

_LOOPBACK: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (nothing is bound here)


def local_url(host: str, port: int) -> str:
    """Return the URL at which this machine reaches a server that listens on `host`, a name or an IP address."""
    reachable = _LOOPBACK.get(host, host)
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def example_commands(url: str, model: str, key: str = "") -> str:
    """Return two lines for a shell: a prediction with curl and one with the command line client.

    Args:
        url: the server's URL.
        model: the model's name.
        key: curl's option for the API key, after a space.
    """
    return f"""\
  curl{key} -F image=@photo.jpg -F mask=@mask.png -H "Accept: image/png" {url}/predictions/{model} -o filled.png
  inpaint fill photo.jpg mask.png -o filled.png --url {url}"""
