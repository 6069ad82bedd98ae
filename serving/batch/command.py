"""The command `python -m serving.batch`."""

import argparse
import sys
from contextlib import closing
from functools import partial
from typing import get_args

from tqdm import tqdm

from serving.batch.filler import Filler
from serving.batch.jobs import plan
from serving.batch.workers import fill_files
from serving.core.cpus import available_cores
from serving.core.errors import SettingsError, StartupError
from serving.core.models import default_model
from serving.core.runtime import Device

_DESCRIPTION = """\
Fill a folder of photos without a server. White pixels (128 and above) of a mask are the hole.

  python -m serving.batch photos/ --masks masks/ -o filled/        (the mask of photos/a.jpg is masks/a.png)
  python -m serving.batch photos/ --mask watermark.png -o filled/  (one mask for all photos)
  python -m serving.batch cutouts/ -o filled/                      (transparent pixels are the hole)

The results are PNG files named after the photos. Existing results are skipped, so an interrupted command can be run
again to continue. Folders can be URLs of fsspec, such as s3://bucket/photos, if its library (s3fs) is installed."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code: 0 for success, 1 for a failure, 2 for invalid usage."""
    options = _parser().parse_args(arguments)
    try:
        return _run(options)
    except SettingsError as error:
        return _report(error.message, 2)
    except StartupError as error:
        return _report(error.message, 1)
    except KeyboardInterrupt:
        return _report("interrupted; run the command again to continue", 130)


def _run(options: argparse.Namespace) -> int:
    if options.workers < 1:
        raise SettingsError(f"--workers is {options.workers}: it must be 1 or more.")
    planned = plan(
        options.photos,
        options.output,
        mask=options.mask,
        masks=options.masks,
        recursive=options.recursive,
        overwrite=options.overwrite,
    )
    make = partial(
        Filler,
        options.model,
        device=options.device,
        require_gpu=options.device != "cpu",
        threads=max(1, available_cores() // options.workers),
    )
    failures: list[tuple[str, str]] = []
    fills = fill_files(make, planned.jobs, workers=options.workers, scale_mask=options.scale_mask)
    with closing(fills):
        results = zip(planned.jobs, fills, strict=True)
        for job, reason in tqdm(results, total=len(planned.jobs), unit="photo", disable=None):
            if reason is not None:
                failures.append((job.photo, reason))
    for photo, reason in failures:
        _report(f"{photo}: {reason}", 1)
    filled = len(planned.jobs) - len(failures)
    return _report(
        f"{filled} filled, {planned.finished} skipped, {len(failures)} failed", 1 if failures else 0
    )


def _report(message: str, code: int) -> int:
    print(f"batch: {message}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m serving.batch",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("photos", metavar="PHOTOS", help="folder of photos")
    one_of = parser.add_mutually_exclusive_group()
    one_of.add_argument("--mask", metavar="FILE", help="one mask for all photos")
    one_of.add_argument("--masks", metavar="FOLDER", help="folder of masks named after the photos")
    parser.add_argument(
        "--scale-mask", action="store_true", help="resize a mask if its size differs from the photo's"
    )
    parser.add_argument("-o", "--output", metavar="FOLDER", required=True, help="folder for the results")
    parser.add_argument("--recursive", action="store_true", help="include subfolders")
    parser.add_argument("--overwrite", action="store_true", help="do not skip existing results")
    parser.add_argument(
        "--workers", type=int, default=1, metavar="N", help="processes, which share the cores (default: 1)"
    )
    parser.add_argument(
        "--model",
        metavar="FILE",
        default=str(default_model()),
        help="ONNX file (default: the model that ships)",
    )
    parser.add_argument(
        "--device", choices=get_args(Device), default="cpu", help="where to run the model (default: cpu)"
    )
    return parser
