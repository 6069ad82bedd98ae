"""Run the export command as a process, and its files in ONNX Runtime."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 900  # seconds, for a machine that is busy

Completed = subprocess.CompletedProcess[str]


def export_command(*arguments: str | Path, folder: Path) -> Completed:
    """Run `python -m export` in a folder and wait for it to end."""
    return subprocess.run(
        [sys.executable, "-m", "export", *map(str, arguments)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


def session_of(artifact: Path, **options: object) -> onnxruntime.InferenceSession:
    """Open an artifact on the CPU with some session options set."""
    settings = onnxruntime.SessionOptions()
    for name, value in options.items():
        setattr(settings, name, value)
    return onnxruntime.InferenceSession(artifact, settings, providers=["CPUExecutionProvider"])


def run(session: onnxruntime.InferenceSession, image: Tensor, mask: Tensor) -> np.ndarray:
    """Return the answer, N3HW float32."""
    answer: np.ndarray
    (answer,) = session.run(["output"], {"image": image.numpy(), "mask": mask.numpy()})
    return answer


def metadata_of(artifact: Path) -> Mapping[str, str]:
    """An artifact's metadata."""
    return {entry.key: entry.value for entry in onnx.load(artifact).metadata_props}


def initializers_of(proto: onnx.ModelProto) -> dict[str, np.ndarray]:
    """An artifact's constants by name."""
    return {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
