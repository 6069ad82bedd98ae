"""Weights files: safetensors with their provenance, never a pickle."""

from __future__ import annotations

import json
import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from training.errors import CheckpointError
from training.files import write_atomically
from training.network.face_locator import FaceLocator
from training.network.model import InpaintingModel, Kind, ModelConfig

Network = TypeVar("Network", bound=nn.Module)

FORMAT = "inpaint-partial-conv-unet/1"
LOCATOR_FORMAT = "inpaint-face-locator/1"


def save_weights(path: Path, model: InpaintingModel, provenance: dict[str, Any]) -> None:
    """Write a model's weights with its configuration and provenance, atomically.

    Args:
        path: The file to write; its folder is created if missing.
        model: The model.
        provenance: Where the weights come from (configuration, data, metrics); plain JSON values.
    """
    save_tensors(path, FORMAT, model, {"model": model.settings(), "provenance": provenance})


def load_weights(path: Path) -> tuple[InpaintingModel, dict[str, Any]]:
    """Read a model and its provenance.

    Returns:
        The model in evaluation mode, on the CPU, in float32; and the provenance mapping.

    Raises:
        CheckpointError: The file is missing, damaged or was not written by `save_weights`.
    """
    tensors, metadata = read_tensors(path, FORMAT, "fit")
    try:
        model = InpaintingModel(ModelConfig(**json.loads(metadata["model"])))
        model.load_state_dict(tensors)
        provenance = json.loads(metadata["provenance"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"the weights in {path} do not match their configuration; the file was modified or damaged"
        ) from error
    return model.eval(), provenance


def save_locator(path: Path, locator: FaceLocator, provenance: dict[str, Any]) -> None:
    """Write the weights of a network that finds faces; the arguments are as for `save_weights`."""
    save_tensors(path, LOCATOR_FORMAT, locator, {"provenance": provenance})


def load_locator(path: Path) -> tuple[FaceLocator, dict[str, Any]]:
    """Read a network that finds faces, and its provenance.

    Raises:
        CheckpointError: The file is missing or damaged, or was not written by `save_locator`.
    """
    return load_network(FaceLocator(), path, LOCATOR_FORMAT, "locate")


def save_tensors(path: Path, file_format: str, network: nn.Module, facts: dict[str, Any]) -> None:
    """Write a network's tensors and facts about it, atomically.

    Args:
        path: The file to write; its folder is created if missing.
        file_format: The file's format, with its version.
        network: The network.
        facts: Plain JSON values by name; "provenance" also gets the commit.
    """
    facts = {**facts, "provenance": {"git_commit": git_commit(), **facts["provenance"]}}
    metadata = {"format": file_format} | {name: json.dumps(value) for name, value in facts.items()}
    tensors = {name: tensor.contiguous().cpu() for name, tensor in network.state_dict().items()}
    write_atomically(path, save(tensors, metadata))


def load_network(
    network: Network, path: Path, file_format: str, command: str
) -> tuple[Network, dict[str, Any]]:
    """Load a file written by `save_tensors` into a network; the other arguments are as for `read_tensors`.

    Returns:
        The network in evaluation mode, and its provenance.

    Raises:
        CheckpointError: As for `read_tensors`.
    """
    tensors, facts = read_tensors(path, file_format, command)
    network.load_state_dict(tensors)
    return network.eval(), json.loads(facts["provenance"])


def read_tensors(
    path: Path, file_format: str, command: str
) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Read a file written by `save_tensors`: its tensors in float32, and its facts as JSON texts.

    Args:
        path: The file.
        file_format: Its format.
        command: The command of `python -m training` that writes such files.

    Raises:
        CheckpointError: The file is missing, damaged or of another format.
    """
    if not path.is_file():
        raise CheckpointError(
            f"there is no weights file {path}; train one with `python -m training {command}`"
        )
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is not a complete safetensors file: {error}") from error
    if metadata.get("format") != file_format:
        raise CheckpointError(
            f"{path} is not a weights file of `python -m training {command}`: its format is "
            f"{metadata.get('format')!r}, not {file_format!r}"
        )
    return tensors, metadata


def expect_network(model: InpaintingModel, wanted: ModelConfig, path: Path) -> None:
    """Check that a file's weights belong to the requested network.

    Raises:
        CheckpointError: They belong to another one.
    """
    if model.config != wanted:
        raise CheckpointError(
            f"{path} holds a network with {model.settings()}, but {wanted.settings()} was requested"
        )


def start_from(model: InpaintingModel, path: Path) -> None:
    """Load a file's weights into a model; the file or the model may also be one stage of a coarse-to-fine network.

    A residual network's weights become the second stage of a coarse-to-fine one, and a correction network takes those
    of the first stage. A face-aware network also takes the weights of one that is not.

    Raises:
        CheckpointError: The weights cannot be read or belong to another network.
    """
    given, _ = load_weights(path)
    if given.coarse is not None and model.config == given.coarse_config():
        model.unet.load_state_dict(given.coarse.state_dict())
        return
    if given.config not in _starts_of(model.config):
        expect_network(given, model.config, path)
    model.load_state_dict(_enlarged(given.state_dict(), model.state_dict()))


def _starts_of(config: ModelConfig) -> set[ModelConfig]:
    """Return the networks whose weights a network can start from: parts of it, also without its symmetry channels."""
    kinds: set[Kind] = {config.kind, "residual"} if config.kind == "coarse-to-fine" else {config.kind}
    return {replace(config, kind=kind, face_aware=s) for kind in kinds for s in {config.face_aware, False}}


def _enlarged(given: dict[str, torch.Tensor], own: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Enlarge tensors to the shapes of a larger network's own: additional rows are its own, additional columns zero."""
    tensors = dict(own)
    for name, tensor in given.items():
        larger = own[name].clone()
        if larger.dim() > 1:  # additional input channels have no effect
            larger[:, tensor.shape[1] :] = 0
        larger[tuple(map(slice, tensor.shape))] = tensor
        tensors[name] = larger
    return tensors


def start_coarse_from(model: InpaintingModel, path: Path) -> None:
    """Load a correction network's weights into the first stage of a coarse-to-fine model.

    Raises:
        CheckpointError: The model has no such stage, or the weights cannot be read or belong to another network.
    """
    if model.coarse is None:
        raise CheckpointError(
            f"a network of kind {model.config.kind!r} has no coarse stage to start from {path}"
        )
    given, _ = load_weights(path)
    expect_network(given, model.coarse_config(), path)
    model.coarse.load_state_dict(given.unet.state_dict())


def start_locator_from(model: InpaintingModel, path: Path) -> None:
    """Load the weights of `python -m training locate` into a face-aware model.

    Raises:
        CheckpointError: The model has no locator, or the weights cannot be read.
    """
    if model.locator is None:
        raise CheckpointError(
            f"this network has no locator to start from {path}; make it face-aware (`--model.network.face_aware true`)"
        )
    model.locator.load_state_dict(load_locator(path)[0].state_dict())


def model_from_lightning(path: Path) -> tuple[InpaintingModel, dict[str, Any]]:
    """Read the (averaged) model from a Lightning training checkpoint, after verifying its checksums; no code is run.

    Returns:
        The model in evaluation mode and the configuration of its run.

    Raises:
        CheckpointError: The file is missing, damaged or not a checkpoint of this project.
    """
    if not path.is_file():
        raise CheckpointError(f"there is no checkpoint {path}; `python -m training fit` writes them")
    try:
        # `torch.save` writes a CRC-32 of each record, which `torch.load` does not verify.
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise CheckpointError(
                f"{path} is damaged: the checksum of {damaged} does not match; resume from another checkpoint"
            )
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        run = json.loads(checkpoint["run"])
        model = InpaintingModel(ModelConfig(**run["config"]["model"]["network"]))
        prefix = "model."
        state = {
            k.removeprefix(prefix): v for k, v in checkpoint["state_dict"].items() if k.startswith(prefix)
        }
        model.load_state_dict(state)
    except (
        *(OSError, EOFError, LookupError, TypeError, ValueError, RuntimeError, UnpicklingError),
        *(zipfile.BadZipFile, NotImplementedError),  # a damaged archive
    ) as error:
        raise CheckpointError(
            f"{path} is damaged, or not a checkpoint of `python -m training fit`"
        ) from error
    return model.eval(), run


def git_commit() -> str | None:
    """Return the commit of the working tree that this code runs from, with `-dirty` if modified; None outside git."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],  # noqa: S607
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return described.stdout.strip()
