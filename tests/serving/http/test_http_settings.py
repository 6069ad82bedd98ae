"""Flags and environment variables."""

import os

import pytest
from engines import FLOAT_MODEL, MODEL

from serving.core.errors import SettingsError
from serving.http.settings import load_settings


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("INPAINT_"):
            monkeypatch.delenv(name)


def test_the_defaults_are_safe() -> None:
    settings = load_settings([])
    assert settings.host == "127.0.0.1"
    assert settings.port == 8080
    assert settings.model == [str(MODEL)]
    assert settings.device == "cpu"
    assert settings.api_key is None


@pytest.mark.parametrize("device", ["cuda", "tensorrt"])
def test_a_gpu_runs_the_model_in_float32(device: str) -> None:
    assert load_settings(["--device", device]).model == [str(FLOAT_MODEL)]
    assert load_settings(["--device", device, "--model", str(MODEL)]).model == [str(MODEL)]


def test_flags_go_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INPAINT_PORT", "1234")
    monkeypatch.setenv("INPAINT_QUEUE_SIZE", "5")
    settings = load_settings(["--port", "4321", "--require-gpu", "--max-body-bytes", "2048"])
    assert (settings.port, settings.queue_size, settings.require_gpu) == (4321, 5, True)
    assert settings.max_body_bytes == 2048


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--port", "65536"], "--port.*65535.*'65536'"),
        (["--port", "http"], "--port.*integer.*'http'"),
        (["--device", "tpu"], "--device.*'cpu', 'cuda' or 'tensorrt'"),
        (["--concurrency", "65"], "--concurrency.*64"),
        (["--queue-size", "-1"], "--queue-size.*0"),
        (["--max-pixels", "0"], "--max-pixels"),
        (["--log-level", "loud"], "--log-level.*'debug'"),
        (["--threads", "-2", "--graceful-seconds", "-1"], "--threads.*; --graceful-seconds"),
    ],
)
def test_values_out_of_range_are_one_line_that_says_what_is_right(arguments: list[str], words: str) -> None:
    with pytest.raises(SettingsError, match=words) as caught:
        load_settings(arguments)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("arguments", "models"),
    [
        (["--model", "a.onnx"], ["a.onnx"]),
        (["--model", "lama=a.onnx", "--model", "b.onnx"], ["lama=a.onnx", "b.onnx"]),
        (["--model", "lama=a.onnx,b.onnx"], ["lama=a.onnx", "b.onnx"]),
        ([], ["c.onnx", "lama=d.onnx"]),
    ],
)
def test_models_are_repeated_or_separated_by_commas(
    arguments: list[str], models: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INPAINT_MODEL", "c.onnx,lama=d.onnx")
    assert load_settings(arguments).model == models


def test_so_are_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INPAINT_REQUIRE_GPU", "perhaps")
    with pytest.raises(SettingsError, match=r"--require-gpu.*'perhaps'"):
        load_settings([])


def test_an_empty_variable_is_none_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INPAINT_API_KEY", "")
    monkeypatch.setenv("INPAINT_PORT", "")
    settings = load_settings([])
    assert settings.api_key is None
    assert settings.port == 8080


def test_the_api_key_is_kept_out_of_command_lines_and_logs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in (["--api-key", "secret"], ["--api-key=secret"], ["--api", "secret"]):
        with pytest.raises(SettingsError, match="INPAINT_API_KEY") as caught:
            load_settings(arguments)
        assert "secret" not in caught.value.message
    monkeypatch.setenv("INPAINT_API_KEY", "secret")
    settings = load_settings([])
    assert settings.api_key is not None
    assert settings.api_key.get_secret_value() == "secret"
    assert "secret" not in repr(settings)
    with pytest.raises(SystemExit):
        load_settings(["--help"])
    assert "secret" not in capsys.readouterr().out


def test_an_unknown_flag_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        load_settings(["--prot", "1"])
    assert caught.value.code == 2
    assert "--prot" in capsys.readouterr().err


def test_help_names_every_setting_but_the_key(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        load_settings(["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    settings = load_settings([])
    for name in type(settings).model_fields:
        assert (f"--{name.replace('_', '-')}" in text) is (name != "api_key")


def test_cores_are_shared_out_among_the_runs_of_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.http.settings.available_cores", lambda: 8)

    def shares(*arguments: str) -> tuple[int, int, int]:
        settings = load_settings(list(arguments))
        return settings.runs_at_once, settings.threads_per_run, settings.threads_alone

    assert shares() == (8, 1, 8)
    assert shares("--concurrency", "3") == (3, 2, 6)
    assert shares("--concurrency", "64") == (64, 1, 8)
    assert shares("--threads", "3") == (2, 3, 6)
    assert shares("--threads", "16") == (1, 16, 16)
    assert shares("--threads", "3", "--concurrency", "4") == (4, 3, 8)
    assert shares("--device", "cuda") == (1, 8, 8)
