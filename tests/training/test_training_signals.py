"""A run survives signals at any moment: no step is lost, and neither are the best weights."""

from __future__ import annotations

import csv
import math
import os
import random
import secrets
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch
import training_runs as runs

from training.files import sha256
from training.weights import load_weights, model_from_lightning


def logged(run: Path) -> set[int]:
    """The steps, from 0, whose losses are logged."""
    return set(runs.curves(run).get("train_loss", ())) if (run / "logs").is_dir() else set()


def wait_for_more_steps(run: Path, process: subprocess.Popen[str]) -> None:
    """Wait until a run in a process of its own has logged three more steps than before."""
    before = len(logged(run))
    while len(logged(run)) < before + 3:
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)


def best_score(run: Path) -> float:
    """The validation PSNR of a run's best checkpoint, which must be whole."""
    _, record = model_from_lightning(run / "best.ckpt")
    return float(record["metrics"]["val_psnr"])


@pytest.mark.slow
def test_signals_at_random_moments_lose_neither_steps_nor_the_best_weights(
    celeba: Path, tmp_path: Path
) -> None:
    """Whatever is being written at the time. With a checkpoint after every step, at most one step is repeated."""
    options = (
        *("--data.batch_size", "3", "--data.size", "32", "--checkpoint_minutes", "0", "--ckpt_path", "last"),
        *("--trainer.val_check_interval", "2", "--model.optimizer.warmup_steps", "0"),
    )
    seed = secrets.randbits(32)
    print("seed", seed)
    rng = random.Random(seed)
    signals = [signal.SIGINT, signal.SIGTERM, signal.SIGKILL]
    rng.shuffle(signals)
    step, best, validated = 0, -math.inf, [-math.inf]
    for number in signals:
        process = runs.start(
            runs.arguments("default", celeba, tmp_path, *options, "--trainer.max_steps", "100000")
        )
        wait_for_more_steps(tmp_path, process)
        time.sleep(rng.uniform(0, 1))
        os.killpg(process.pid, number)
        _, err = process.communicate()
        assert process.returncode == (-number if number == signal.SIGKILL else 128 + number), err
        _, record = model_from_lightning(tmp_path / "last.ckpt")
        step = record["step"]
        assert step >= max(logged(tmp_path)), "steps are numbered from 0, and at most one is repeated"
        assert best_score(tmp_path) >= best
        best = best_score(tmp_path)
        newest = max((tmp_path / "logs").iterdir(), key=lambda version: version.stat().st_ctime)
        with (newest / "metrics.csv").open(newline="") as file:
            scores = [float(row["val_psnr"]) for row in csv.DictReader(file) if row["val_psnr"]]
        validated += scores[:-1]  # the last one's checkpoint may not have been written

    more = ("--trainer.max_steps", str(step + 4))
    assert runs.run_here(runs.arguments("default", celeba, tmp_path, *options, *more)) == 0
    missing = set(range(step + 4)) - logged(tmp_path)
    assert len(missing) <= signals.count(signal.SIGKILL), (
        "only a killed run may have saved a step before its log"
    )
    assert best_score(tmp_path) >= max(best, *validated) - 1e-4
    _, provenance = load_weights(tmp_path / "inpaint.safetensors")
    assert provenance["metrics"]["val_psnr"] == best_score(tmp_path)


def test_resuming_from_an_older_checkpoint_keeps_a_better_validation(celeba: Path, tmp_path: Path) -> None:
    """As after a kill between a validation and the next checkpoint: a worse step follows, the best weights stay."""
    small = ("--data.batch_size", "3", "--data.size", "32", "--trainer.val_check_interval", "2")
    options = (*small, "--model.optimizer.warmup_steps", "0")
    assert (
        runs.run_here(runs.arguments("default", celeba, tmp_path, *options, "--trainer.max_steps", "2")) == 0
    )
    best = torch.load(tmp_path / "best.ckpt", weights_only=True)
    for state in best["callbacks"].values():
        if state.get("monitor") == "val_psnr":
            score = torch.tensor(99.0)
            state |= {"best_model_score": score, "kth_value": score}
            state["best_k_models"] = dict.fromkeys(state["best_k_models"], score)
    torch.save(best, tmp_path / "best.ckpt")
    before = sha256(tmp_path / "best.ckpt")
    more = ("--trainer.max_steps", "6", "--ckpt_path", "last")
    assert runs.run_here(runs.arguments("default", celeba, tmp_path, *options, *more)) == 0
    assert len(runs.curves(tmp_path)["val_psnr"]) == 3
    assert sha256(tmp_path / "best.ckpt") == before
