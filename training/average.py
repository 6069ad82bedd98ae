"""`python -m training average`: one network from several, by a weighted mean of their weights.

Networks fine-tuned from a common start often perform worse than their mean, which costs nothing at inference
(Wortsman et al., "Model soups", ICML 2022); interpolating between two of them trades one's strengths for the other's.
The mean of unrelated networks is useless.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from training.errors import SettingsError
from training.files import sha256
from training.weights import expect_network, load_weights, save_weights

if TYPE_CHECKING:
    from collections.abc import Sequence


def average(paths: Sequence[Path], output: Path, weights: Sequence[float] | None = None) -> None:
    """Write the weighted mean of several weights files, with the provenance of each.

    Args:
        paths: Two or more weights files.
        output: The weights file to write.
        weights: One weight per file; they are divided by their sum. None weights all files equally.

    Raises:
        SettingsError: There are fewer than two files, or the weights do not fit them.
        CheckpointError: A file is missing or damaged, or holds a different network from the first.
        OSError: The output cannot be written.
    """
    weights = [1.0] * len(paths) if weights is None else weights
    if len(paths) < 2:
        raise SettingsError("averaging needs at least two weights files")
    if len(weights) != len(paths):
        raise SettingsError(f"--weights needs one number per file: {len(paths)}, not {len(weights)}")
    if not (min(weights) >= 0 and 0 < sum(weights) < float("inf")):
        raise SettingsError(f"--weights must be at least 0 and not all 0, not {', '.join(map(str, weights))}")
    loaded = [load_weights(path) for path in paths]
    mean, _ = loaded[0]
    totals = {name: torch.zeros_like(t, dtype=torch.float64) for name, t in mean.state_dict().items()}
    parts = []
    for path, weight, (model, provenance) in zip(paths, weights, loaded, strict=True):
        expect_network(model, mean.config, path)
        share = weight / sum(weights)
        for name, tensor in model.state_dict().items():
            totals[name] += share * tensor
        parts.append({"sha256": sha256(path), "weight": share, "provenance": provenance})
    mean.load_state_dict(totals)
    save_weights(output, mean, {"average_of": parts})
    print(f"weights: {output}")


def main(argv: list[str]) -> None:
    """Run the command.

    Raises:
        SettingsError: There are fewer than two files, or the weights do not fit them.
        CheckpointError: A file is missing or damaged, or holds a different network from the first.
        OSError: The output cannot be written.
    """
    parser = argparse.ArgumentParser(
        "python -m training average", description="Write the weighted mean of several weights files."
    )
    parser.add_argument("files", type=Path, nargs="+", help="weights files of networks with a common start")
    parser.add_argument("-o", "--output", type=Path, required=True, help="weights file to write")
    parser.add_argument(
        "--weights", type=float, nargs="+", help="one weight per file, such as 0.7 0.3 (default: all equal)"
    )
    options = parser.parse_args(argv)
    average(options.files, options.output, options.weights)
