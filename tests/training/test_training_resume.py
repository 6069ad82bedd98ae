"""Real processes: a run killed in mid-epoch goes on where it stopped; two processes share one run."""

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
from torch.utils.data import default_collate
from training_callbacks import digests

from training.data import InpaintingData
from training.draws import Mixture, TrainingDraws
from training.masks import PRESETS
from training.memory import load_pictures
from training.pictures import find_pictures
from training.transforms import AugmentConfig
from training.weights import load_weights

STEPS = 11
KILLED_AT = 6
"""In the second epoch, which is of 4 steps: 14 pictures in batches of 3."""


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
    """The default recipe in fp32: weights, averaged weights, optimiser, schedule and curves, to float noise."""
    options = (
        *("--data.batch_size", "3", "--data.workers", "1"),
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
    never = runs.start(runs.arguments("default", celeba, whole, *options))
    victim = runs.start(runs.arguments("default", celeba, killed, *options, *kill))
    victim.communicate()
    assert victim.returncode == -signal.SIGKILL
    assert runs.checkpoint(killed / "last.ckpt")["global_step"] == KILLED_AT - 1
    assert not (killed / "inpaint.safetensors").exists()

    again = runs.start(runs.arguments("default", celeba, killed, *options, "--ckpt_path", "last"))
    for process in (never, again):
        _, said = process.communicate()
        assert process.returncode == 0, said

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


SLOW = ("--trainer.callbacks+=training_callbacks.SlowSteps", "--trainer.callbacks.seconds", "0.3")


def wait_for_steps(run: Path, count: int, process: subprocess.Popen[str]) -> None:
    """Wait until a run in a process of its own has logged this many steps."""
    while not ((run / "logs").is_dir() and len(runs.curves(run).get("train_loss", ())) >= count):
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_stopped_run_leaves_its_checkpoint_and_averaged_weights(
    celeba: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """Sent to the whole process group, as Ctrl-C in a terminal is: the loader process must not end before the step."""
    options = ("--data.batch_size", "3", "--data.workers", "1", "--trainer.max_steps", "1000")
    validate = ("--trainer.val_check_interval", "1000")
    process = runs.start(runs.arguments("default", celeba, tmp_path, *options, *validate, *SLOW))
    wait_for_steps(tmp_path, 3, process)
    os.killpg(process.pid, number)
    out, err = process.communicate()
    assert process.returncode == 128 + number, err
    assert "Traceback" not in out + err
    assert err.splitlines()[-1] == f"stopped by {number.name}; resume with `--ckpt_path last`"
    last = runs.checkpoint(tmp_path / "last.ckpt")
    step = last["global_step"]
    assert 3 <= step < 1000
    assert f"weights: {tmp_path / 'inpaint.safetensors'} (step {step}; " in out
    for name, parameter in load_weights(tmp_path / "inpaint.safetensors")[0].named_parameters():
        assert torch.equal(parameter, last["state_dict"][f"model.{name}"])

    more = ("--trainer.max_steps", str(step + 1), "--ckpt_path", "last")
    again = runs.start(runs.arguments("default", celeba, tmp_path, *options, *validate, *more))
    _, err = again.communicate()
    assert again.returncode == 0, err
    assert runs.checkpoint(tmp_path / "last.ckpt")["global_step"] == step + 1
    assert sorted(runs.curves(tmp_path)["train_loss"]) == list(range(step + 1))  # no step is lost or repeated


def test_a_stopped_run_ends_as_one_that_was_never_stopped(celeba: Path, tmp_path: Path) -> None:
    options = ("--data.batch_size", "3", "--trainer.max_steps", "9", "--trainer.val_check_interval", "100")
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    victim = runs.start(runs.arguments("default", celeba, stopped, *options, *SLOW))
    assert runs.run_here(runs.arguments("default", celeba, whole, *options)) == 0
    wait_for_steps(stopped, 2, victim)
    victim.send_signal(signal.SIGTERM)
    victim.communicate()
    assert runs.checkpoint(stopped / "last.ckpt")["global_step"] < 9
    assert runs.run_here(runs.arguments("default", celeba, stopped, *options, "--ckpt_path", "last")) == 0
    ends = [runs.checkpoint(run / "last.ckpt") for run in (whole, stopped)]
    for part in ("state_dict", "current_model_state", "averaging_state", "optimizer_states", "lr_schedulers"):
        expected, got = (flatten(end[part]) for end in ends)
        for name in expected:
            torch.testing.assert_close(got[name], expected[name], rtol=1e-5, atol=1e-7, msg=f"{part}{name}")


def test_a_second_signal_ends_the_run_at_once(celeba: Path, tmp_path: Path) -> None:
    options = ("--trainer.max_steps", "1000", "--trainer.callbacks+=training_callbacks.SlowSteps")
    process = runs.start(
        runs.arguments("default", celeba, tmp_path, *options, "--trainer.callbacks.seconds", "5")
    )
    wait_for_steps(tmp_path, 1, process)
    time.sleep(1)  # within the next step, which takes five seconds
    process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=4)
    assert process.returncode == -signal.SIGTERM


def test_two_processes_share_the_draws_of_one_run(celeba: Path, tmp_path: Path) -> None:
    """DDP by Lightning's own flags: in each step both together see what one process with a batch of 4 would.

    Each decodes half of the pictures, into memory that both share.
    """
    run = tmp_path / "run"
    process = runs.start(
        runs.arguments(
            *("report", celeba, run, "--data.batch_size", "2", "--trainer.max_epochs", "2"),
            *("--trainer.devices", "2", "--trainer.strategy", "ddp"),
            *(
                "--trainer.callbacks+=training_callbacks.RecordDraws",
                "--trainer.callbacks.folder",
                str(run / "draws"),
            ),
        )
    )
    _, said = process.communicate()
    assert process.returncode == 0, said

    seen = [
        [json.loads(line) for line in (run / "draws" / f"{rank}.jsonl").read_text().splitlines()]
        for rank in (0, 1)
    ]
    data = InpaintingData(celeba, 4, {"report-code": 1.0})
    data.pictures = load_pictures(find_pictures(celeba).train)
    shares, mixture = {"report-code": 1.0}, Mixture((14,), (14,))
    draws = TrainingDraws(mixture, 178, shares, PRESETS, AugmentConfig(), seed=0)
    for step in range(6):
        drawn = default_collate([draws[4 * step + i] for i in range(4)])
        expected = digests(data.transfer_batch_to_device(drawn, torch.device("cpu"), 0))
        assert [digest for rank in seen for digest in rank[step]["seen"]] == expected
    assert [len(rank) for rank in seen] == [6, 6]
    held = {step["held"] for rank in seen for step in rank}
    assert len(held) == 1
    assert "inpaint-" in held.pop()
    assert sorted(runs.curves(run)["train_loss"]) == list(range(6))
    assert (run / "inpaint.safetensors").is_file()


def test_a_mistake_on_the_real_command_line_is_an_exit_status_and_one_line(tmp_path: Path) -> None:
    process = runs.start(runs.arguments("report", tmp_path / "nowhere", tmp_path / "run"))
    out, err = process.communicate()
    assert process.returncode == 1
    assert err.splitlines()[-1].startswith(f"error: there is no data folder {tmp_path / 'nowhere'}; give")
    assert "Traceback" not in out + err
    for noise in ("litlogger", "LightningCLI's args parameter", "exists and is not empty"):
        assert noise not in out + err
