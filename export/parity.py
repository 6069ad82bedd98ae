"""The parity check: compares artifacts with the PyTorch model on pictures and holes that have broken exports before."""

from __future__ import annotations

from contextlib import ExitStack
from itertools import compress
from typing import TYPE_CHECKING

import numpy as np
import torch
from tqdm import tqdm

from export.errors import ArtifactError
from export.onnx import load_artifact
from export.verdicts import TOLERANCES, Comparison, Results, Verdict, tolerance_of
from serving.core.graph import MetadataKey
from training.files import sha256
from training.metrics import psnr, ssim
from training.weights import load_weights

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from export.probes import Probe
    from export.runtimes import Run, Runtime
    from training.network.model import InpaintingModel


def check(
    weights: Path, artifacts: Sequence[Path], probes: Sequence[Probe], runtimes: Sequence[Runtime]
) -> list[Verdict]:
    """Compare artifacts with the PyTorch model of a checkpoint.

    Args:
        weights: Safetensors of `training.weights`.
        artifacts: ONNX files of `export.onnx` and `export.int8`.
        probes: Inputs to compare on.
        runtimes: Runtimes to run the artifacts on, at least one.

    Raises:
        ArtifactError: An artifact is missing, damaged, from another checkpoint, or fails on a runtime or a probe.
    """
    model, _ = load_weights(weights)
    checkpoint = sha256(weights)
    precisions = [_precision(artifact, checkpoint) for artifact in artifacts]
    expected = [_reference(model, probe) for probe in tqdm(probes, desc="PyTorch", unit="probe")]
    return [
        Verdict(
            artifact.name,
            sha256(artifact),
            precision,
            checkpoint,
            tolerance_of(precision, model.config.face_aware),
            tuple(_results(artifact, runtime, probes, expected) for runtime in runtimes),
        )
        for artifact, precision in zip(artifacts, precisions, strict=True)
    ]


def _precision(artifact: Path, checkpoint: str) -> str:
    _, metadata = load_artifact(artifact)
    precision = metadata.get(MetadataKey.PRECISION)
    if precision not in TOLERANCES:
        raise ArtifactError(f"{artifact} has no precision in its metadata; create it with `python -m export`")
    if metadata.get(MetadataKey.CHECKPOINT_SHA256) != checkpoint:
        raise ArtifactError(f"{artifact} was exported from another checkpoint; export it again from this one")
    return precision


def _reference(model: InpaintingModel, probe: Probe) -> NDArray[np.float32]:
    with torch.inference_mode():
        answer = model(torch.from_numpy(probe.image), torch.from_numpy(probe.mask)).numpy()
    if not np.isfinite(answer).all():
        raise ArtifactError(f"the PyTorch model itself returns NaN or infinity on {probe.name}; retrain it")
    return np.asarray(answer, np.float32)


def _results(
    artifact: Path, runtime: Runtime, probes: Sequence[Probe], expected: Sequence[NDArray[np.float32]]
) -> Results:
    fits = [runtime.side is None or max(probe.image.shape[2:]) <= runtime.side for probe in probes]
    pairs = list(compress(zip(probes, expected, strict=True), fits))
    comparisons = []
    with ExitStack() as stack:
        try:
            run = stack.enter_context(runtime.load(artifact))
        except Exception as error:  # each runtime raises its own
            raise ArtifactError(f"{artifact} cannot be run by {runtime.name}: {error}") from error
        for probe, reference in tqdm(pairs, desc=f"{runtime.name}, {artifact.name}", unit="probe"):
            limited = probe.first(runtime.pictures)
            answer = _answer(run, limited, artifact, runtime)
            comparisons.append(_compare(answer, limited, reference[: runtime.pictures]))
    return Results(runtime.name, runtime.pictures, tuple(comparisons))


def _answer(run: Run, probe: Probe, artifact: Path, runtime: Runtime) -> NDArray[np.float32]:
    try:
        answer = run(probe.image, probe.mask)
    except Exception as error:  # each runtime raises its own
        raise ArtifactError(f"{artifact} cannot be run on {probe.name} by {runtime.name}: {error}") from error
    if answer.shape != probe.image.shape:
        raise ArtifactError(
            f"{artifact} returns shape {answer.shape} on {probe.name} by {runtime.name}; "
            f"expected {probe.image.shape}"
        )
    return answer


def _compare(answer: NDArray[np.float32], probe: Probe, expected: NDArray[np.float32]) -> Comparison:
    known = np.broadcast_to(probe.mask > 0, answer.shape)
    difference = np.abs(answer - expected)
    pairs = list(zip(probe.truth, _pictures(answer), _pictures(expected), strict=True))
    damaged = [(t, a, e) for t, a, e in pairs if not (np.array_equal(t, a) and np.array_equal(t, e))]
    return Comparison(
        probe.name,
        probe.judges_quality,
        float(difference.max()),
        float(difference[~known].mean()) if not known.all() else 0.0,
        float(np.mean([psnr(e, a) for _, a, e in pairs])),
        float(np.mean([psnr(t, e) - psnr(t, a) for t, a, e in damaged])) if damaged else 0.0,
        float(np.mean([ssim(t, e) - ssim(t, a) for t, a, e in damaged])) if damaged else 0.0,
        bool(np.array_equal(answer[known], probe.image[known])),
    )


def _pictures(batch: NDArray[np.float32]) -> NDArray[np.uint8]:
    # NaN and values out of range cannot be stored in a picture; the maximum error detects them.
    return np.rint(np.clip(np.nan_to_num(batch), 0, 1) * 255).astype(np.uint8).transpose(0, 2, 3, 1)
