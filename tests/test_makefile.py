"""`make`: what it would run, and what it says before it installs anything."""

import os
import subprocess
from pathlib import Path

import pytest
from engines import ROOT


def make(*arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    environment = {
        name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "JAVA_HOME")
    }
    return subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=ROOT,
        env=environment | settings,
        capture_output=True,
        text=True,
    )


def recipe(target: str, venv: Path, *variables: str) -> list[str]:
    """The commands that a target runs once everything is installed."""
    (venv / "bin").mkdir(parents=True)
    for name in ("bin/python", ".serve", ".torchserve", ".ray", ".dev"):
        (venv / name).touch()
    done = make("--dry-run", target, f"VENV={venv}", *variables)
    assert done.returncode == 0, done.stderr
    assert "pip" not in done.stdout
    return [line.removeprefix("exec ").replace(f"{venv}/bin/", "") for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("variables", "model"),
    [((), "models/inpaint-int8.onnx"), (("MODEL=artifacts/mine.onnx",), "artifacts/mine.onnx")],
)
def test_every_engine_serves_the_same_model(tmp_path: Path, variables: tuple[str, ...], model: str) -> None:
    assert recipe("torchserve", tmp_path / "1", *variables) == [
        "rm -rf artifacts/torchserve",
        f"python -m export mar {model} -o artifacts/torchserve",
        "python -m serving.torchserve.start --mar artifacts/torchserve/*.mar --port 8080",
    ]
    assert recipe("ray", tmp_path / "2", *variables) == [f"python -m serving.ray --model {model} --port 8080"]
    assert recipe("serve", tmp_path / "3", "WEB=nowhere", *variables)[-1] == (
        f"python -m serving --model {model} --port 8080"
    )


def test_the_formats_of_an_export_can_be_chosen(tmp_path: Path) -> None:
    variables = ("FORMATS=onnx mar", "WEIGHTS=runs/mine.safetensors", "DATA=photos")
    export, hint = recipe("export", tmp_path, *variables)
    assert export == (
        "python -m export all runs/mine.safetensors -o artifacts --formats onnx mar --data photos"
    )
    assert "make serve MODEL=artifacts/mine.onnx" in hint
    *_, hint = recipe("export", tmp_path / "all", "WEIGHTS=runs/mine.safetensors")
    assert "make serve MODEL=artifacts/mine-int8.onnx" in hint


def test_an_unsupported_python_is_named_before_anything_is_installed(tmp_path: Path) -> None:
    done = make("serve", f"VENV={tmp_path}/venv", "PYTHON=false")
    assert done.returncode == 2
    assert done.stdout == "This needs Python 3.11, 3.12 or 3.13: install it, or name it with PYTHON=\n"
    assert not (tmp_path / "venv").exists()


def test_a_python_without_ensurepip_is_named_before_a_venv_is_made(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; esac\n')
    python.chmod(0o755)
    done = make("serve", f"VENV={tmp_path}/venv", f"PYTHON={python}")
    assert done.returncode == 2
    assert done.stdout == f"{python} cannot make virtual environments: install python3-venv\n"


def test_a_missing_java_is_named_before_anything_is_installed(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").touch()
    done = make("torchserve", f"VENV={tmp_path}", JAVA_HOME="/nowhere")
    assert done.returncode == 2
    assert done.stdout.startswith("TorchServe needs Java, such as OpenJDK 17")
    assert done.stdout.count("\n") == 1


def test_help_lists_the_commands_with_the_port() -> None:
    listed = make("help", "PORT=9000").stdout
    assert "127.0.0.1:9000" in listed
    assert "$(" not in listed
