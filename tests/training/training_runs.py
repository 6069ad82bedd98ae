"""Tiny runs of `python -m training fit`, in this process or in a separate one, and readers of what they write."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import training
from training.__main__ import main
from training.files import sha256

REPOSITORY = Path(training.__file__).parent.parent
CONFIGS = Path(training.__file__).parent / "configs"

REPORT = ("--trainer.max_epochs", "9", "--trainer.check_val_every_n_epoch", "3")
"""9 epochs of 2 steps (14 pictures in batches of 5), with 3 validations."""

DEFAULT = (
    *("--data.batch_size", "3", "--data.workers", "1"),
    *("--trainer.max_steps", "10", "--trainer.val_check_interval", "5"),
)
"""10 steps with 2 validations."""


def arguments(config: str, data: Path, run: Path, *options: str) -> list[str]:
    """The command line of a fit with a shipped configuration, a network of width 2 and every step logged."""
    small = {
        "--config": str(CONFIGS / f"{config}.yaml"),
        "--data.root": str(data),
        "--run": str(run),
        "--model.network.width": "2",
        "--data.workers": "0",
        "--trainer.accelerator": "cpu",
        "--trainer.precision": "32-true",
        "--trainer.log_every_n_steps": "1",
        "--trainer.num_sanity_val_steps": "0",
        "--trainer.enable_progress_bar": "false",
        "--trainer.enable_model_summary": "false",
    }
    return ["fit", *(word for pair in small.items() for word in pair), *options]


def run_here(argv: list[str]) -> int:
    """Run a command in this process and return its exit status."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["python -m training", *argv])
        try:
            return main(argv)
        except SystemExit as end:
            return int(end.code or 0)


def expect_one_line(argv: list[str], status: int, message: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command that fails with a message in its last line and prints nothing else. Return its standard error."""
    assert run_here(argv) == status
    said = capsys.readouterr()
    assert message in said.err.splitlines()[-1]
    assert "Traceback" not in said.err
    assert said.out == ""
    return said.err


def start(argv: list[str]) -> subprocess.Popen[str]:
    """Start a command in a separate process that can import these tests' callbacks."""
    return subprocess.Popen(
        [sys.executable, "-m", "training", *argv],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a process group that a test may send signals to
    )


def curves(run: Path) -> dict[str, dict[int, float]]:
    """The logged values of every name by step; later starts of the run override earlier ones."""
    series: dict[str, dict[int, float]] = {}
    for path in sorted((run / "logs").glob("version_*/metrics.csv")):
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                for name, value in row.items():
                    if value and name not in {"step", "epoch"}:
                        series.setdefault(name, {})[int(row["step"])] = float(value)
    return series


def checkpoint(path: Path) -> dict[str, Any]:
    """One of Lightning's checkpoints, read without unpickling code."""
    loaded: dict[str, Any] = torch.load(path, weights_only=True)
    return loaded


def hashes(folder: Path) -> dict[Path, str]:
    """The SHA-256 of every file below a folder."""
    return {path: sha256(path) for path in folder.rglob("*") if path.is_file()}
