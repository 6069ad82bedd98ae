"""Callbacks for `python -m training fit`, passed with `--trainer.callbacks+=` as a user would."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import lightning as L  # noqa: N812

from training.transforms import Batch, to_pictures


class KillAt(L.Callback):
    """Ends the process by SIGKILL after a step, before that step's checkpoint is written."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        if trainer.global_step == self.step:
            os.kill(os.getpid(), signal.SIGKILL)


class SlowSteps(L.Callback):
    """Delays each step, from step `first` on."""

    def __init__(self, seconds: float, first: int = 0) -> None:
        self.seconds, self.first = seconds, first

    def on_train_batch_start(self, trainer: L.Trainer, *_: Any) -> None:
        if trainer.global_step >= self.first:
            time.sleep(self.seconds)


def digests(batch: Batch) -> list[str]:
    """A hash of each picture, as 8-bit values, together with its mask."""
    images, masks = batch
    pairs = zip(to_pictures(images), masks.bool().numpy(), strict=True)
    return [hashlib.sha256(image.tobytes() + mask.tobytes()).hexdigest() for image, mask in pairs]


def shared_memory() -> str:
    """Device, inode and name of the file behind the pictures that several processes share; empty without one."""
    maps = Path("/proc/self/maps").read_text().splitlines()
    return " ".join({" ".join(line.split()[3:]) for line in maps if "/inpaint-" in line})


class RecordDraws(L.Callback):
    """Records which pictures each process sees in each step, and which memory holds them."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        seen = digests(batch)
        self.folder.mkdir(exist_ok=True)
        with (self.folder / f"{trainer.global_rank}.jsonl").open("a") as file:
            file.write(
                json.dumps({"step": trainer.global_step, "seen": seen, "held": shared_memory()}) + "\n"
            )
