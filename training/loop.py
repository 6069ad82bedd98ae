"""The training loop of small networks, which need no logs and no checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn
from tqdm import tqdm

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler

LONGEST_GRADIENT = 1.0
"""Norm that gradients are clipped to."""


def train(
    network: nn.Module, loss: Callable[[], Tensor], optimizer: Optimizer, schedule: LRScheduler, steps: int
) -> int:
    """Train a network with a progress bar; an interrupt ends the training early.

    Args:
        network: The network.
        loss: Draws a batch and returns its loss, a scalar.
        optimizer: Optimiser of the network's parameters.
        schedule: Schedule of its learning rate.
        steps: Number of steps.

    Returns:
        The number of steps taken.
    """
    done = 0
    try:
        with tqdm(range(steps), "training", unit="step") as bar:
            for _ in bar:
                value = loss()
                optimizer.zero_grad()
                value.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(network.parameters(), LONGEST_GRADIENT)
                optimizer.step()
                schedule.step()
                done += 1
                bar.set_postfix(loss=f"{value.item():.4f}", refresh=False)
    except KeyboardInterrupt:
        print(f"interrupted after {done} steps")
    return done
