"""`python -m export all|onnx|int8|mar|marks|parity`."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from export.errors import ExportError, ParityError
from training.errors import TrainingError

if TYPE_CHECKING:
    from export.verdicts import Verdict

_FORMATS = ("onnx", "fp16", "int8", "mar")
_CALIBRATION_PICTURES, _PARITY_PICTURES = 48, 64


def _onnx(options: argparse.Namespace) -> None:
    from export.onnx import export_onnx

    export_onnx(options.weights, options.output, fp16=options.fp16)
    print(f"written: {options.output}")


def _int8(options: argparse.Namespace) -> None:
    from export.int8 import quantise
    from training.cases import cases_of
    from training.masks import PRESETS

    quantise(options.artifact, options.output, cases_of(options.data, "val", list(PRESETS), options.count))
    print(f"written: {options.output}")


def _mar(options: argparse.Namespace) -> None:
    from export.mar import build_mar

    print(f"written: {build_mar(options.artifact, options.output, options.name)}")


def _marks(options: argparse.Namespace) -> None:
    from export.marks import export_marks

    export_marks(options.weights, options.output)
    print(f"written: {options.output}")


def _parity(options: argparse.Namespace) -> None:
    from export.parity import check
    from export.probes import probes_of
    from export.runtimes import installed_runtimes
    from training.cases import files_of

    probes = probes_of(files_of(options.data, options.split, options.count))
    runtimes, left_out = installed_runtimes()
    _judge(check(options.weights, options.artifacts, probes, runtimes), left_out, options.output)


def _all(options: argparse.Namespace) -> None:
    from export.artifacts import export_formats
    from export.mar import build_mar
    from export.runtimes import installed_runtimes

    runtimes, left_out = installed_runtimes()
    artifacts, verdicts = export_formats(
        options.weights,
        options.output,
        options.formats,
        options.data,
        calibration_pictures=_CALIBRATION_PICTURES,
        parity_pictures=_PARITY_PICTURES,
        runtimes=runtimes,
    )
    for artifact in artifacts:
        print(f"written: {artifact}")
    _judge(verdicts, left_out, options.output)
    if "mar" in options.formats:
        for_cpus = artifacts[-1] if "int8" in options.formats else artifacts[0]
        print(f"written: {build_mar(for_cpus, options.output / 'model-store')}")


def _judge(verdicts: list[Verdict], left_out: list[str], folder: Path) -> None:
    """Write and print the parity tables, and raise an error if an artifact is outside its tolerance."""
    from export.verdicts import to_markdown
    from training.files import write_atomically, write_json

    table = to_markdown(verdicts, left_out)
    document = [{**asdict(v), "failures": v.failures, "passed": v.passed} for v in verdicts]
    write_atomically(folder / "parity.md", table.encode())
    write_json(folder / "parity.json", document)
    print(table)
    failed = [verdict.artifact for verdict in verdicts if not verdict.passed]
    if failed:
        raise ParityError(f"{', '.join(failed)}: outside the tolerance; see the tables above")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m export", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    everything = commands.add_parser("all", help="export a checkpoint in several formats, and compare them")
    everything.add_argument("weights", type=Path, help="weights file of `python -m training fit`")
    everything.add_argument(
        "-o", "--output", type=Path, required=True, help="folder for the files, named after the weights file"
    )
    everything.add_argument(
        "--formats",
        nargs="+",
        choices=_FORMATS,
        default=_FORMATS,
        help="formats to export; the float32 ONNX file is always written (default: all)",
    )
    everything.add_argument(
        "--data", type=Path, required=True, help="folder of pictures to calibrate and compare on"
    )
    everything.set_defaults(run=_all)

    onnx = commands.add_parser("onnx", help="export a checkpoint to ONNX")
    onnx.add_argument("weights", type=Path, help="weights file of `python -m training fit`")
    onnx.add_argument("-o", "--output", type=Path, required=True, help="the ONNX file to write")
    onnx.add_argument("--fp16", action="store_true", help="compute in float16 (for GPUs)")
    onnx.set_defaults(run=_onnx)

    int8 = commands.add_parser("int8", help="quantise a float32 ONNX file to 8 bits (for CPUs)")
    int8.add_argument("artifact", type=Path, help="ONNX file written by `python -m export onnx`")
    int8.add_argument("-o", "--output", type=Path, required=True, help="the ONNX file to write")
    int8.add_argument(
        "--data", type=Path, required=True, help="folder of calibration pictures; the val split is used"
    )
    int8.add_argument("--count", type=int, default=_CALIBRATION_PICTURES, help="number of pictures")
    int8.set_defaults(run=_int8)

    mar = commands.add_parser("mar", help="build the TorchServe archive around an ONNX file")
    mar.add_argument(
        "artifact", type=Path, help="ONNX file of this command, or another with a description beside it"
    )
    mar.add_argument("-o", "--output", type=Path, required=True, help="the model store, a folder")
    mar.add_argument("--name", help="the model's name; by default the one in its metadata, or else inpaint")
    mar.set_defaults(run=_mar)

    marks = commands.add_parser("marks", help="export to ONNX the network that finds marks")
    marks.add_argument("weights", type=Path, help="weights file written by `python -m training marks`")
    marks.add_argument("-o", "--output", type=Path, required=True, help="the ONNX file to write")
    marks.set_defaults(run=_marks)

    parity = commands.add_parser(
        "parity",
        help="compare artifacts with PyTorch on every runtime; fails if one is outside its tolerance",
    )
    parity.add_argument("weights", type=Path, help="weights file that the artifacts were exported from")
    parity.add_argument("artifacts", type=Path, nargs="+", help="ONNX files")
    parity.add_argument("--data", type=Path, required=True, help="folder of pictures to compare on")
    parity.add_argument("--split", choices=["val", "test", "all"], default="test", help="split to use")
    parity.add_argument("--count", type=int, default=_PARITY_PICTURES, help="number of pictures, at least 5")
    parity.add_argument(
        "-o", "--output", type=Path, required=True, help="folder for parity.md and parity.json"
    )
    parity.set_defaults(run=_parity)
    return parser


def main(argv: list[str]) -> int:
    """Run one command and return its exit status."""
    options = _parser().parse_args(argv)
    try:
        options.run(options)
    except (ExportError, TrainingError, OSError) as error:  # OSError: an output cannot be written
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
