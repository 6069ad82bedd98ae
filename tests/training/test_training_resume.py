"""Runs in real processes: one killed in mid-epoch resumes where it stopped; two processes share one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch
import training_runs as runs

from training.weights import load_weights

STEPS = 11
KILLED_AT = 6
"""In the second epoch, which has 4 steps: 14 pictures in batches of 3."""


def flatten(value: object, path: str = "") -> dict[str, torch.Tensor]:
    """Every tensor and number of a nested state by its path."""
    if isinstance(value, dict):
        return {k: v for name, part in value.items() for k, v in flatten(part, f"{path}/{name}").items()}
    if isinstance(value, list | tuple):
        return {k: v for i, part in enumerate(value) for k, v in flatten(part, f"{path}/{i}").items()}
    if isinstance(value, torch.Tensor | int | float):
        return {path: torch.as_tensor(value, dtype=torch.float64)}
    return {}


def test_a_killed_run_ends_as_one_that_was_never_killed(celeba: Path, tmp_path: Path) -> None:
    """The default recipe in fp32: weights, averaged weights, optimiser, schedule and curves agree to float noise."""
    options = (
        *("--data.batch_size", "3", "--data.size", "96", "--data.workers", "1"),
        *("--trainer.precision", "32-true", "--model.optimizer.warmup_steps", "3"),
        *(
            "--trainer.max_steps",
            str(STEPS),
            "--trainer.val_check_interval",
            "4",
            "--checkpoint_minutes",
            "0",
        ),
    )
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    kill = ("--trainer.callbacks+=training_callbacks.KillAt", "--trainer.callbacks.step", str(KILLED_AT))
    victim = runs.start(runs.arguments("default", celeba, killed, *options, *kill))
    assert runs.run_here(runs.arguments("default", celeba, whole, *options)) == 0
    victim.communicate()
    assert victim.returncode == -signal.SIGKILL
    assert runs.checkpoint(killed / "last.ckpt")["global_step"] == KILLED_AT - 1
    assert not (killed / "inpaint.safetensors").exists()

    assert runs.run_here(runs.arguments("default", celeba, killed, *options, "--ckpt_path", "last")) == 0
    ends = [runs.checkpoint(run / "last.ckpt") for run in (whole, killed)]
    assert [end["global_step"] for end in ends] == [STEPS, STEPS]
    for part in ("state_dict", "current_model_state", "averaging_state", "optimizer_states", "lr_schedulers"):
        expected, got = (flatten(end[part]) for end in ends)
        assert expected.keys() == got.keys()
        for name in expected:
            torch.testing.assert_close(got[name], expected[name], rtol=1e-5, atol=1e-7, msg=f"{part}{name}")

    expected_curves, got_curves = runs.curves(whole), runs.curves(killed)
    speeds = [curves.pop("pictures_per_s") for curves in (expected_curves, got_curves)]
    assert min(min(speed.values()) for speed in speeds) > 0
    assert got_curves.keys() == expected_curves.keys()
    for name, series in expected_curves.items():
        assert got_curves[name] == pytest.approx(series, rel=1e-5), name

    models = [load_weights(run / "inpaint.safetensors")[0].state_dict() for run in (whole, killed)]
    for name in models[0]:
        torch.testing.assert_close(models[1][name], models[0][name], rtol=1e-5, atol=1e-7)


SLOW = ("--trainer.callbacks+=training_callbacks.SlowSteps", "--trainer.callbacks.seconds", "1")


def wait_for_steps(run: Path, count: int, process: subprocess.Popen[str]) -> None:
    """Wait until a run in a process of its own has logged this many steps."""
    while not ((run / "logs").is_dir() and len(runs.curves(run).get("train_loss", ())) >= count):
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)


def test_an_interrupted_run_leaves_its_checkpoint_and_averaged_weights(celeba: Path, tmp_path: Path) -> None:
    """By Ctrl-C in a terminal, which also reaches the loader process: that must not end before the step."""
    options = ("--data.batch_size", "3", "--data.workers", "1", "--trainer.max_steps", "1000")
    validate = ("--trainer.val_check_interval", "1000")
    process = runs.start(runs.arguments("default", celeba, tmp_path, *options, *validate, *SLOW))
    wait_for_steps(tmp_path, 3, process)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == 128 + signal.SIGINT, err
    assert "Traceback" not in out + err
    assert err.splitlines()[-1] == "stopped by SIGINT; resume with `--ckpt_path last`"
    last = runs.checkpoint(tmp_path / "last.ckpt")
    step = last["global_step"]
    assert 3 <= step < 1000
    assert f"weights: {tmp_path / 'inpaint.safetensors'} (step {step}; " in out
    for name, parameter in load_weights(tmp_path / "inpaint.safetensors")[0].named_parameters():
        assert torch.equal(parameter, last["state_dict"][f"model.{name}"])

    more = ("--trainer.max_steps", str(step + 1), "--ckpt_path", "last")
    assert runs.run_here(runs.arguments("default", celeba, tmp_path, *options, *validate, *more)) == 0
    assert runs.checkpoint(tmp_path / "last.ckpt")["global_step"] == step + 1
    assert sorted(runs.curves(tmp_path)["train_loss"]) == list(range(step + 1))  # no step is lost or repeated


def test_a_stopped_run_ends_as_one_that_was_never_stopped(celeba: Path, tmp_path: Path) -> None:
    options = ("--data.batch_size", "3", "--trainer.max_steps", "9", "--trainer.val_check_interval", "100")
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    victim = runs.start(runs.arguments("default", celeba, stopped, *options, *SLOW))
    wait_for_steps(stopped, 2, victim)
    victim.send_signal(signal.SIGTERM)
    _, err = victim.communicate()
    assert victim.returncode == 128 + signal.SIGTERM
    assert err.splitlines()[-1] == "stopped by SIGTERM; resume with `--ckpt_path last`"
    assert runs.checkpoint(stopped / "last.ckpt")["global_step"] < 9
    assert runs.run_here(runs.arguments("default", celeba, whole, *options)) == 0
    assert runs.run_here(runs.arguments("default", celeba, stopped, *options, "--ckpt_path", "last")) == 0
    ends = [runs.checkpoint(run / "last.ckpt") for run in (whole, stopped)]
    for part in ("state_dict", "current_model_state", "averaging_state", "optimizer_states", "lr_schedulers"):
        expected, got = (flatten(end[part]) for end in ends)
        for name in expected:
            torch.testing.assert_close(got[name], expected[name], rtol=1e-5, atol=1e-7, msg=f"{part}{name}")


def test_a_second_signal_ends_the_run_at_once(celeba: Path, tmp_path: Path) -> None:
    """It comes during the second step, which takes an hour."""
    slow = ("--trainer.callbacks.seconds", "3600", "--trainer.callbacks.first", "1")
    options = ("--trainer.max_steps", "1000", "--trainer.callbacks+=training_callbacks.SlowSteps", *slow)
    process = runs.start(runs.arguments("default", celeba, tmp_path, *options))
    wait_for_steps(tmp_path, 1, process)
    while process.poll() is None:  # two signals that arrive at once count as one
        process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
    process.communicate()
    assert process.returncode == -signal.SIGTERM


@pytest.mark.parametrize("kept_in", ["folder", "shards"])
def test_two_processes_train_as_one(celeba: Path, tmp_path: Path, kept_in: str) -> None:
    """DDP by Lightning's own flags gives the draws of one process with twice the batch, and its loss within 0.01 dB.

    From a folder, each decodes half of the pictures, into memory that both share.
    """
    root = celeba
    if kept_in == "shards":
        root = tmp_path / "shards"
        assert runs.run_here(["shards", str(celeba), "-o", str(root), "--per-shard", "4"]) == 0

    def arguments(run: Path, batch_size: int, *more: str) -> list[str]:
        options = (
            *("--data.size", "64", "--data.batch_size", str(batch_size), "--trainer.max_steps", "6"),
            *("--trainer.val_check_interval", "6", "--model.optimizer.warmup_steps", "0"),
            "--trainer.callbacks+=training_callbacks.RecordDraws",
            *("--trainer.callbacks.folder", str(run / "draws")),
        )
        return runs.arguments("correction", root, run, *options, *more)

    alone, shared = tmp_path / "alone", tmp_path / "shared"
    process = runs.start(arguments(shared, 2, "--trainer.devices", "2", "--trainer.strategy", "ddp"))
    assert runs.run_here(arguments(alone, 4)) == 0
    _, said = process.communicate()
    assert process.returncode == 0, said

    (one,), two = (
        [
            [json.loads(line) for line in path.read_text().splitlines()]
            for path in sorted((run / "draws").iterdir())
        ]
        for run in (alone, shared)
    )
    assert [len(rank) for rank in (one, *two)] == [6, 6, 6]
    for together, first, second in zip(one, *two, strict=True):
        assert first["seen"] + second["seen"] == together["seen"]
    (held,) = {step["held"] for rank in two for step in rank}
    assert ("inpaint-" in held) == (kept_in == "folder")

    expected, got = runs.curves(alone), runs.curves(shared)
    assert sorted(got["train_loss"]) == list(range(6))
    for name in ("train_loss", "val_psnr"):
        assert got[name] == pytest.approx(expected[name], abs=0.01)
    assert (shared / "inpaint.safetensors").is_file()


def test_a_mistake_on_the_real_command_line_is_an_exit_status_and_one_line(tmp_path: Path) -> None:
    process = runs.start(runs.arguments("report", tmp_path / "nowhere", tmp_path / "run"))
    out, err = process.communicate()
    assert process.returncode == 1
    assert err.splitlines()[-1].startswith(f"error: there is no data folder {tmp_path / 'nowhere'}; give")
    assert "Traceback" not in out + err
    for noise in ("litlogger", "LightningCLI's args parameter", "exists and is not empty"):
        assert noise not in out + err
