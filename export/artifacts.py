"""Export of a checkpoint to several ONNX files, compared with PyTorch. Data are checked before anything is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from export.int8 import quantise
from export.onnx import export_onnx
from export.parity import check
from export.probes import probes_of
from training.cases import cases_of, files_of
from training.masks import PRESETS

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from export.runtimes import Runtime
    from export.verdicts import Verdict


def export_formats(
    weights: Path,
    folder: Path,
    formats: Collection[str],
    data: Path,
    *,
    calibration_pictures: int,
    parity_pictures: int,
    runtimes: Sequence[Runtime],
) -> tuple[list[Path], list[Verdict]]:
    """Export a checkpoint, and compare the ONNX files with PyTorch.

    Args:
        weights: The checkpoint. The ONNX files are named after it: `NAME.onnx`, `NAME-fp16.onnx`, `NAME-int8.onnx`.
        folder: Where to write them.
        formats: `fp16` and `int8` are written if they are in it; the float32 file always is.
        data: Folder of pictures: the validation split is used for calibration, the test split for the comparison.
        calibration_pictures: Number of pictures to calibrate on.
        parity_pictures: Number of pictures to compare on, at least 5.
        runtimes: Runtimes to compare the files on.

    Returns:
        The files, float32 first and 8-bit last, and the verdicts on them.

    Raises:
        DataError: The folder is invalid, or has too few pictures.
        ExportError: The checkpoint is missing or damaged, or an export failed.
    """
    probes = probes_of(files_of(data, "test", parity_pictures))
    cases = cases_of(data, "val", list(PRESETS), calibration_pictures) if "int8" in formats else []
    fp32, fp16, int8 = (folder / f"{weights.stem}{suffix}.onnx" for suffix in ("", "-fp16", "-int8"))
    artifacts = [fp32]
    export_onnx(weights, fp32)
    if "fp16" in formats:
        export_onnx(weights, fp16, fp16=True)
        artifacts.append(fp16)
    if "int8" in formats:
        quantise(fp32, int8, cases)
        artifacts.append(int8)
    return artifacts, check(weights, artifacts, probes, runtimes)
