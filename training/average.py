"""`python -m training average`: one network from several, by the mean of their weights.

Networks trained on from a common start, on different masks or seeds, are often worth less than their mean, which
costs nothing to run (Wortsman et al., "Model soups", ICML 2022). Of unrelated networks the mean is worth nothing.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from torch.optim.swa_utils import AveragedModel

from training.errors import SettingsError
from training.files import sha256
from training.weights import expect_network, load_weights, save_weights

if TYPE_CHECKING:
    from collections.abc import Sequence


def average(paths: Sequence[Path], output: Path) -> None:
    """Write the mean of several weights files, with the provenance of each.

    Raises:
        CheckpointError: A file is missing, damaged, or of another network than the first.
        OSError: The output cannot be written.
    """
    loaded = [load_weights(path) for path in paths]
    first, _ = loaded[0]
    mean, parts = AveragedModel(first, use_buffers=True), []
    for path, (model, provenance) in zip(paths, loaded, strict=True):
        expect_network(model, first.settings(), path)
        mean.update_parameters(model)
        parts.append({"sha256": sha256(path), "provenance": provenance})
    first.load_state_dict(mean.module.state_dict())
    save_weights(output, first, {"average_of": parts})
    print(f"weights: {output}")


def main(argv: list[str]) -> None:
    """Run the command.

    Raises:
        SettingsError: There are fewer than two files.
        CheckpointError: A file is missing, damaged, or of another network than the first.
        OSError: The output cannot be written.
    """
    parser = argparse.ArgumentParser(
        "python -m training average", description="Write the mean of several weights files."
    )
    parser.add_argument("weights", type=Path, nargs="+", help="safetensors of networks with a common start")
    parser.add_argument("-o", "--output", type=Path, required=True, help="safetensors to write")
    options = parser.parse_args(argv)
    if len(options.weights) < 2:
        raise SettingsError("a mean takes two weights files or more")
    average(options.weights, options.output)
