"""The settings files: TorchServe knows their keys, and their values match the ONNX server's defaults."""

import zipfile
from pathlib import Path

import engines
import pytest
import ts
import yaml

from serving.core.errors import SettingsError
from serving.http.settings import Settings
from serving.torchserve.options import parse_options

SETTINGS = engines.ROOT / "serving" / "torchserve"
OURS = {"threads"}


@pytest.fixture(scope="module")
def properties() -> dict[str, str]:
    lines = (SETTINGS / "config.properties").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


@pytest.fixture(scope="module")
def config() -> dict[str, int]:
    return dict(yaml.safe_load((SETTINGS / "model-config.yaml").read_bytes()))


def has_string(java_class: str, text: str) -> bool:
    """Whether this string is among a class's constants: its tag, its length, its bytes."""
    with zipfile.ZipFile(Path(ts.__file__).parent / "frontend" / "model-server.jar") as jar:
        constants = jar.read(f"org/pytorch/serve/{java_class}.class")
    return b"\x01" + len(text).to_bytes(2, "big") + text.encode() in constants


def test_torchserve_knows_every_key(properties: dict[str, str], config: dict[str, int]) -> None:
    # TorchServe silently ignores a key that it does not know.
    assert [key for key in properties if not has_string("util/ConfigManager", key)] == []
    assert [key for key in config.keys() - OURS if not has_string("archive/model/ModelConfig", key)] == []
    assert not has_string("util/ConfigManager", "no_such_key")


def test_limits_are_the_onnx_servers(properties: dict[str, str], config: dict[str, int]) -> None:
    defaults = Settings.model_construct()
    assert int(properties["max_request_size"]) == defaults.max_body_bytes
    assert config["jobQueueSize"] == defaults.queue_size


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("port", "0"),
        ("workers", "-1"),
        ("threads", "1025"),
        ("graceful-seconds", "nan"),
        ("graceful-seconds", "-1"),
    ],
)
def test_numbers_out_of_range_are_refused(flag: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"--{flag} is {value}: it must be from "):
        parse_options([f"--{flag}", value])
