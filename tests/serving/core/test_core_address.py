"""How to try a server: example commands, and its URL, with the loopback address if it listens on all addresses."""

import os
import sys
from pathlib import Path

import pytest

from serving.core.address import example_commands, local_url


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8080"),
        ("localhost", "http://localhost:8080"),
        ("192.0.2.7", "http://192.0.2.7:8080"),
        ("0.0.0.0", "http://127.0.0.1:8080"),
        ("::", "http://[::1]:8080"),
        ("fe80::1", "http://[fe80::1]:8080"),
    ],
)
def test_local_url(host: str, url: str) -> None:
    assert local_url(host, 8080) == url


def test_the_clients_command_is_one_that_a_shell_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def client() -> list[str]:
        return [
            line.split(" fill ")[0].strip() for line in example_commands("URL", "inpaint").splitlines()[1:]
        ]

    venv = tmp_path / ".venv" / "bin"
    venv.mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", os.devnull)
    monkeypatch.setattr(sys, "executable", str(venv / "python"))
    assert client() == []  # not installed
    (venv / "inpaint").touch(mode=0o755)
    assert client() == [str(venv / "inpaint")]
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert client() == [str(venv / "inpaint")]
    monkeypatch.setenv("PATH", str(venv))
    assert client() == ["inpaint"]


def test_the_clients_command_names_the_model_unless_it_is_the_default() -> None:
    assert "--model" not in example_commands("URL", "inpaint")
    assert example_commands("URL", "lama").endswith("--url URL --model lama")
