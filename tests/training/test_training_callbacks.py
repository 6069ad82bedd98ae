"""Checkpoints are written completely or not at all; floating-point operations per picture are counted."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import training_runs as runs
from full_disk import full_disk

from training.callbacks import AtomicCheckpointIO, flops_per_picture
from training.network.model import ModelConfig


def test_a_checkpoint_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    path, writer = tmp_path / "last.ckpt", AtomicCheckpointIO()
    writer.save_checkpoint({"step": 1}, path)
    with full_disk(), pytest.raises(OSError, match="File too large"):
        writer.save_checkpoint({"step": 2, "weights": torch.zeros(5000)}, path)
    assert runs.checkpoint(path) == {"step": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_floating_point_operations_of_a_picture() -> None:
    """Three times the forward pass, whose convolutions are counted by hand: 23.0 G multiplications at width 64."""
    sides, multiplications = [178, 89, 44, 22, 11], 0
    for level, side in enumerate(sides):
        width = 64 << level
        inner = 3 if level == 0 else width // 2
        multiplications += side**2 * 9 * (inner * width + width * width)
        if level < 4:  # on the way up: a transposed convolution, then two convolutions again
            multiplications += (2 * sides[level + 1]) ** 2 * 2 * width * width
            multiplications += side**2 * 9 * (2 * width * width + width * width)
    multiplications += 178**2 * 64 * 3
    assert multiplications == pytest.approx(23.0e9, rel=0.01)
    first = 178**2 * 9 * 3 * 64  # the first layer, whose input needs no gradient
    assert flops_per_picture(ModelConfig("report", 64)) == 2 * (3 * multiplications - first)
