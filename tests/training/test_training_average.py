"""The mean of several weights files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import training_runs as runs

from training.files import sha256
from training.network.model import InpaintingModel, ModelConfig
from training.weights import load_weights, save_weights


@pytest.fixture
def parts(tmp_path: Path) -> list[Path]:
    """Three networks whose values are all 1, 2 and 6."""
    paths = []
    for value in (1, 2, 6):
        model = InpaintingModel(ModelConfig(width=2, residual=True))
        with torch.no_grad():
            for tensor in model.state_dict().values():
                tensor.fill_(value)
        paths.append(tmp_path / f"{value}.safetensors")
        save_weights(paths[-1], model, {"value": value})
    return paths


def test_every_value_is_the_mean_and_the_provenance_tells_of_what(parts: list[Path], tmp_path: Path) -> None:
    before = runs.hashes(tmp_path)
    output = tmp_path / "new" / "mean.safetensors"
    assert runs.run_here(["average", *map(str, parts), "--output", str(output)]) == 0
    mean, provenance = load_weights(output)
    for name, tensor in mean.state_dict().items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor, torch.full_like(tensor, 3), msg=name)
    assert [part["sha256"] for part in provenance["average_of"]] == [sha256(part) for part in parts]
    assert [part["provenance"]["value"] for part in provenance["average_of"]] == [1, 2, 6]
    output.unlink()
    assert runs.hashes(tmp_path) == before


def test_another_network_is_refused(
    parts: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other, output = tmp_path / "other.safetensors", tmp_path / "mean.safetensors"
    save_weights(other, InpaintingModel(ModelConfig(width=3, residual=True)), {})
    assert runs.run_here(["average", str(parts[0]), str(other), "-o", str(output)]) == 1
    assert f"{other} holds a network of {{'width': 3" in capsys.readouterr().err
    assert not output.exists()


def test_one_file_has_no_mean(parts: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert runs.run_here(["average", str(parts[0]), "-o", str(tmp_path / "mean.safetensors")]) == 1
    assert capsys.readouterr().err == "error: a mean takes two weights files or more\n"
