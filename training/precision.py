"""`--trainer.precision auto`: bf16 where a training step is faster with it than in float32."""

from __future__ import annotations

import copy
import time
from typing import Any, Final, Literal

import lightning as L  # noqa: N812
import torch
from lightning.fabric.connector import _PRECISION_INPUT  # type: ignore[attr-defined]

from training.module import InpaintingModule

AUTO: Final = "auto"
Chosen = Literal["32-true", "bf16-mixed"]

STEPS: Final = 3
GAIN: Final = 1.1
"""Minimum speed-up of bf16 over float32: a smaller one is not worth rounding to 8 bits."""


class Trainer(L.Trainer):
    """Lightning's trainer, with one more value of `precision` on the command line."""

    def __init__(
        self, *, precision: _PRECISION_INPUT | Literal["auto"] | None = None, **options: Any
    ) -> None:
        """Build the trainer.

        Args:
            precision: As in Lightning; or "auto", which stands for the result of `choose_precision`.
            **options: As in Lightning.
        """
        super().__init__(precision=precision, **options)  # type: ignore[arg-type]


def choose_precision(module: InpaintingModule, batch_size: int, size: int, device: torch.device) -> Chosen:
    """Time training steps in float32 and in bf16 on this machine, and print the choice.

    Args:
        module: The module to train; it is left unchanged.
        batch_size: Pictures per process and step.
        size: Side length of the pictures.
        device: The device to train on.
    """
    if device.type == "cuda" and not torch.cuda.is_bf16_supported():
        return "32-true"
    trial = copy.deepcopy(module).to(device).train()
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(batch_size, 3, size, size, generator=generator).to(device)
    masks = (torch.rand(batch_size, 1, size, size, generator=generator) < 0.8).float().to(device)

    def seconds(bf16: bool) -> float:
        start = time.perf_counter()
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            loss, _ = trial.objective(trial.model.predict(images, masks), images, masks)
        loss.backward()
        trial.zero_grad()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - start

    float32, bf16 = (min([seconds(half) for _ in range(1 + STEPS)][1:]) for half in (False, True))
    chosen: Chosen = "bf16-mixed" if float32 > GAIN * bf16 else "32-true"
    print(f"precision: {chosen} (a step takes {float32:.3f} s in float32 and {bf16:.3f} s in bf16)")
    return chosen
