"""Weights on disk are written whole or not at all, carry their provenance, and are never unpickled as code."""

from __future__ import annotations

import json
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from full_disk import full_disk
from safetensors.torch import load_file, save_file

from training.errors import CheckpointError
from training.network.model import InpaintingModel, ModelConfig
from training.weights import (
    FORMAT,
    git_commit,
    load_weights,
    model_from_lightning,
    save_weights,
)

NETWORK = {"kind": "report", "width": 2}
CONFIG = {"model": {"network": NETWORK}, "data": {"batch_size": 12}}


@pytest.fixture
def model() -> InpaintingModel:
    """A narrow model in which every value, batch statistics included, differs from a fresh one's."""
    model = InpaintingModel(ModelConfig("report", 2))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for tensor in model.state_dict().values():
            if tensor.is_floating_point():
                tensor.uniform_(0.1, 1.0, generator=generator)
            else:
                tensor.fill_(17)
    return model


@pytest.fixture
def saved(model: InpaintingModel, tmp_path: Path) -> Path:
    save_weights(tmp_path / "runs" / "new" / "inpaint.safetensors", model, {"config": CONFIG, "step": 100})
    return tmp_path / "runs" / "new" / "inpaint.safetensors"


def rewrite(path: Path, **metadata: str | None) -> None:
    """Save the file again with other metadata; None removes an entry."""
    tensors = load_file(path)
    now = {
        "format": FORMAT,
        "model": json.dumps(NETWORK),
        "provenance": "{}",
        **metadata,
    }
    save_file(tensors, path, {k: v for k, v in now.items() if v is not None})


class TestRoundTrip:
    def test_model(self, saved: Path, model: InpaintingModel) -> None:
        loaded, _ = load_weights(saved)
        assert loaded.config == model.config
        assert not loaded.training
        for name, tensor in model.state_dict().items():
            assert torch.equal(loaded.state_dict()[name], tensor), name
            assert loaded.state_dict()[name].dtype == tensor.dtype

    def test_provenance(self, saved: Path) -> None:
        _, provenance = load_weights(saved)
        assert provenance == {"config": CONFIG, "step": 100, "git_commit": git_commit()}

    def test_half_precision_and_channels_last_are_loaded_as_float32(
        self, model: InpaintingModel, tmp_path: Path
    ) -> None:
        half = model.half().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        save_weights(tmp_path / "half.safetensors", half, {})
        loaded, _ = load_weights(tmp_path / "half.safetensors")
        assert all(p.dtype == torch.float32 for p in loaded.parameters())
        assert torch.equal(loaded.unet.out.weight, model.unet.out.weight.float())

    def test_the_file_is_plain_safetensors(self, saved: Path, model: InpaintingModel) -> None:
        assert set(load_file(saved)) == set(model.state_dict())


class TestWrongFile:
    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(CheckpointError, match=r"there is no weights file .*x\.safetensors; train one"):
            load_weights(tmp_path / "x.safetensors")

    @pytest.mark.parametrize("keep", [0, 7, 300, -1])
    def test_truncated(self, saved: Path, keep: int) -> None:
        saved.write_bytes(saved.read_bytes()[:keep])
        with pytest.raises(CheckpointError, match="is not a complete safetensors file"):
            load_weights(saved)

    def test_a_pickle_is_not_read(self, tmp_path: Path) -> None:
        trap = Trap(tmp_path / "sprung")
        (tmp_path / "inpaint.safetensors").write_bytes(pickle.dumps(trap))
        with pytest.raises(CheckpointError, match="is not a complete safetensors file"):
            load_weights(tmp_path / "inpaint.safetensors")
        assert not trap.mark.exists()

    @pytest.mark.parametrize("other", [None, "somebody-else/3"])
    def test_another_projects(self, saved: Path, other: str | None) -> None:
        rewrite(saved, format=other)
        with pytest.raises(
            CheckpointError, match=f"not a weights file of `python -m training fit`: its format is {other!r}"
        ):
            load_weights(saved)

    @pytest.mark.parametrize(
        "metadata",
        [
            {"model": json.dumps({**NETWORK, "width": 3})},
            {"model": json.dumps({**NETWORK, "width": 0})},
            {"model": json.dumps({**NETWORK, "kind": "correction"})},
            {"model": json.dumps({"depth": 3})},
            {"model": "{"},
            {"model": None},
            {"provenance": None},
        ],
        ids=["width", "no-width", "kind", "unknown", "half", "no-model", "no-provenance"],
    )
    def test_metadata_that_does_not_fit(self, saved: Path, metadata: dict[str, str | None]) -> None:
        rewrite(saved, **metadata)
        with pytest.raises(CheckpointError, match="do not match their configuration"):
            load_weights(saved)


# --- Lightning's checkpoints -----------------------------------------------------------------------------------


class Trap:
    """Creates the file `mark` when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.mark,)


def lightning_checkpoint(model: InpaintingModel) -> dict[str, Any]:
    """The part of a training checkpoint that is read here."""
    state = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    return {
        "state_dict": state,
        "run": json.dumps({"config": CONFIG, "step": 5, "metrics": {"val_psnr": 31.5}}),
    }


class TestLightningCheckpoint:
    def test_round_trip(self, model: InpaintingModel, tmp_path: Path) -> None:
        torch.save(lightning_checkpoint(model), tmp_path / "best.ckpt")
        loaded, run = model_from_lightning(tmp_path / "best.ckpt")
        assert run == {"config": CONFIG, "step": 5, "metrics": {"val_psnr": 31.5}}
        assert not loaded.training
        assert all(torch.equal(loaded.state_dict()[k], v) for k, v in model.state_dict().items())

    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(CheckpointError, match=r"there is no checkpoint .*best\.ckpt"):
            model_from_lightning(tmp_path / "best.ckpt")

    @pytest.mark.parametrize("content", [b"", b"rubbish", b"PK\x03\x04 and so on"])
    def test_rubbish(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "best.ckpt").write_bytes(content)
        with pytest.raises(
            CheckpointError, match="is damaged, or not a checkpoint of `python -m training fit`"
        ):
            model_from_lightning(tmp_path / "best.ckpt")

    def test_truncated(self, model: InpaintingModel, tmp_path: Path) -> None:
        torch.save(lightning_checkpoint(model), tmp_path / "best.ckpt")
        content = (tmp_path / "best.ckpt").read_bytes()
        (tmp_path / "best.ckpt").write_bytes(content[: len(content) // 2])
        with pytest.raises(CheckpointError, match="is damaged, or not a checkpoint"):
            model_from_lightning(tmp_path / "best.ckpt")

    def test_a_flipped_byte_anywhere_in_a_record_is_found(
        self, model: InpaintingModel, tmp_path: Path
    ) -> None:
        """`torch.load` itself reads such a file without complaint."""
        path = tmp_path / "best.ckpt"
        torch.save(lightning_checkpoint(model), path)
        content = path.read_bytes()
        with zipfile.ZipFile(path) as archive:
            records = [(r.header_offset, r.filename, r.file_size) for r in archive.infolist() if r.file_size]
        generator = torch.Generator().manual_seed(0)
        assert len(records) > 50
        for start, name, size in records:
            names, extra = struct.unpack("<HH", content[start + 26 : start + 30])
            position = start + 30 + names + extra + int(torch.randint(size, (1,), generator=generator))
            path.write_bytes(content[:position] + bytes([content[position] ^ 4]) + content[position + 1 :])
            with pytest.raises(
                CheckpointError, match=rf"best\.ckpt is damaged: the checksum of {name} does not"
            ):
                model_from_lightning(path)

    def test_a_flipped_byte_of_the_archive_itself_changes_nothing_or_is_found(
        self, model: InpaintingModel, tmp_path: Path
    ) -> None:
        path = tmp_path / "best.ckpt"
        torch.save(lightning_checkpoint(model), path)
        content, expected = path.read_bytes(), model.state_dict()
        for position in range(0, len(content), len(content) // 200):
            path.write_bytes(content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :])
            try:
                loaded, _ = model_from_lightning(path)
            except CheckpointError:
                continue
            assert all(torch.equal(loaded.state_dict()[name], value) for name, value in expected.items())

    def test_code_in_a_pickle_is_not_run(self, model: InpaintingModel, tmp_path: Path) -> None:
        trap = Trap(tmp_path / "sprung")
        torch.save({**lightning_checkpoint(model), "more": trap}, tmp_path / "best.ckpt")
        with pytest.raises(CheckpointError, match="is damaged, or not a checkpoint"):
            model_from_lightning(tmp_path / "best.ckpt")
        assert not trap.mark.exists()

    @pytest.mark.parametrize("change", [{"run": "{}"}, {"run": "{"}, {"state_dict": {}}])
    def test_unexpected_content(self, model: InpaintingModel, tmp_path: Path, change: dict[str, Any]) -> None:
        torch.save({**lightning_checkpoint(model), **change}, tmp_path / "best.ckpt")
        with pytest.raises(CheckpointError, match="is damaged, or not a checkpoint"):
            model_from_lightning(tmp_path / "best.ckpt")

    def test_a_list(self, tmp_path: Path) -> None:
        torch.save([1, 2], tmp_path / "best.ckpt")
        with pytest.raises(CheckpointError, match="is damaged, or not a checkpoint"):
            model_from_lightning(tmp_path / "best.ckpt")


def test_weights_that_cannot_be_written_leave_the_old_ones(saved: Path, model: InpaintingModel) -> None:
    before = saved.read_bytes()
    with full_disk(), pytest.raises(OSError, match="File too large"):
        save_weights(saved, model, {"step": 200})
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]
