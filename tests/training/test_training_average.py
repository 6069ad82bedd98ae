"""The weighted mean of several weights files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import training_runs as runs
from torch import Tensor

from training.average import average
from training.files import sha256
from training.network.model import InpaintingModel, ModelConfig
from training.network.report_unet import DoubleConv
from training.weights import load_weights, save_weights


@pytest.fixture
def parts(tmp_path: Path) -> list[Path]:
    """Three networks whose values are all 1, all 2 and all 6."""
    paths = []
    for value in (1, 2, 6):
        model = InpaintingModel(ModelConfig("correction", 2))
        with torch.no_grad():
            for tensor in model.state_dict().values():
                tensor.fill_(value)
        paths.append(tmp_path / f"{value}.safetensors")
        save_weights(paths[-1], model, {"value": value})
    return paths


def test_every_value_is_the_mean_and_the_provenance_lists_the_parts(
    parts: list[Path], tmp_path: Path
) -> None:
    before = runs.hashes(tmp_path)
    output = tmp_path / "new" / "mean.safetensors"
    assert runs.run_here(["average", *map(str, parts), "--output", str(output)]) == 0
    mean, provenance = load_weights(output)
    for name, tensor in mean.state_dict().items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor, torch.full_like(tensor, 3), msg=name)
    assert [part["sha256"] for part in provenance["average_of"]] == [sha256(part) for part in parts]
    assert [part["weight"] for part in provenance["average_of"]] == pytest.approx([1 / 3] * 3)
    assert [part["provenance"]["value"] for part in provenance["average_of"]] == [1, 2, 6]
    output.unlink()
    assert runs.hashes(tmp_path) == before


def test_another_network_is_refused(
    parts: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other, output = tmp_path / "other.safetensors", tmp_path / "mean.safetensors"
    save_weights(other, InpaintingModel(ModelConfig("correction", 3)), {})
    assert runs.run_here(["average", str(parts[0]), str(other), "-o", str(output)]) == 1
    assert (
        f"{other} holds a network with {{'kind': 'correction', 'width': 3}}, but" in capsys.readouterr().err
    )
    assert not output.exists()


def test_one_file_has_no_mean(parts: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert runs.run_here(["average", str(parts[0]), "-o", str(tmp_path / "mean.safetensors")]) == 1
    assert capsys.readouterr().err == "error: averaging needs at least two weights files\n"


@pytest.mark.parametrize(
    ("weights", "expected"), [("0.7 0.3", 1.3), ("7 3", 1.3), ("0 2", 2.0), ("1 0", 1.0)]
)
def test_files_are_weighted(parts: list[Path], tmp_path: Path, weights: str, expected: float) -> None:
    """Each counts by its share of the sum of the weights."""
    output = tmp_path / "mean.safetensors"
    files = map(str, parts[:2])
    assert runs.run_here(["average", *files, "-o", str(output), "--weights", *weights.split()]) == 0
    mean, provenance = load_weights(output)
    for name, tensor in mean.named_parameters():
        torch.testing.assert_close(tensor.detach(), torch.full_like(tensor, expected), msg=name)
    shares = [part["weight"] for part in provenance["average_of"]]
    assert shares == pytest.approx([2 - expected, expected - 1])


def running_variance(model: InpaintingModel) -> Tensor:
    """The running variance of the report network's first batch normalisation."""
    block = model.unet.down[0]
    assert isinstance(block, DoubleConv)
    assert block.norm1.running_var is not None
    return block.norm1.running_var


def test_the_report_networks_batch_statistics_are_averaged_too(tmp_path: Path) -> None:
    files = [tmp_path / f"{value}.safetensors" for value in (1, 3)]
    for file, value in zip(files, (1.0, 3.0), strict=True):
        model = InpaintingModel(ModelConfig("report", 2))
        running_variance(model).fill_(value)
        save_weights(file, model, {})
    average(files, tmp_path / "mean.safetensors", [0.25, 0.75])
    mean, _ = load_weights(tmp_path / "mean.safetensors")
    assert torch.equal(running_variance(mean), torch.full((2,), 2.5))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("1", "--weights needs one number per file: 2, not 1"),
        ("1 2 3", "--weights needs one number per file: 2, not 3"),
        ("0 0", "--weights must be at least 0 and not all 0, not 0.0, 0.0"),
        ("2 -1", "--weights must be at least 0 and not all 0, not 2.0, -1.0"),
        ("nan 1", "--weights must be at least 0 and not all 0, not nan, 1.0"),
        ("inf 1", "--weights must be at least 0 and not all 0, not inf, 1.0"),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    parts: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], weights: str, message: str
) -> None:
    output = tmp_path / "mean.safetensors"
    options = ["-o", str(output), "--weights", *weights.split()]
    assert runs.run_here(["average", *map(str, parts[:2]), *options]) == 1
    assert capsys.readouterr().err == f"error: {message}\n"
    assert not output.exists()
