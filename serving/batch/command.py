"""The command `python -m serving.batch`."""

import argparse
import sys
from collections.abc import Generator
from contextlib import closing
from functools import partial
from typing import get_args

from tqdm import tqdm

from serving.batch.cluster import fill_files_on_ray
from serving.batch.filler import Filler
from serving.batch.jobs import Job, plan
from serving.batch.workers import fill_files
from serving.core.cpus import available_cores
from serving.core.errors import SettingsError, StartupError
from serving.core.models import default_model, model_sources
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
    if options.workers is not None and options.workers < 1:
        raise SettingsError(f"--workers is {options.workers}: it must be 1 or more.")
    planned = plan(
        options.photos,
        options.output,
        mask=options.mask,
        masks=options.masks,
        recursive=options.recursive,
        overwrite=options.overwrite,
    )
    with closing(_fills(options, planned.jobs)) as fills:
        progress = tqdm(fills, total=len(planned.jobs), unit="photo", disable=None)
        failures = sorted((job.photo, reason) for job, reason in progress if reason is not None)
    for photo, reason in failures:
        _report(f"{photo}: {reason}", 1)
    filled = len(planned.jobs) - len(failures)
    return _report(
        f"{filled} filled, {planned.finished} skipped, {len(failures)} failed", 1 if failures else 0
    )


def _fills(options: argparse.Namespace, jobs: list[Job]) -> Generator[tuple[Job, str | None], None, None]:
    on_gpu = options.device != "cpu"
    model = options.model or str(default_model(options.device))
    make = partial(Filler, device=options.device, require_gpu=on_gpu)
    if options.ray is None:
        workers = options.workers or 1
        make = partial(make, model, threads=max(1, available_cores() // workers))
        return fill_files(make, jobs, workers=workers, scale_mask=options.scale_mask)
    make = partial(make, model_sources([model])[0].path.absolute(), threads=1)
    return fill_files_on_ray(
        make,
        jobs,
        address=options.ray,
        workers=options.workers,
        gpus=int(on_gpu),
        scale_mask=options.scale_mask,
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
        "--workers",
        type=int,
        metavar="N",
        help="processes, which share the cores (default: 1; with --ray, one for each core or GPU of the cluster)",
    )
    parser.add_argument(
        "--ray",
        metavar="ADDRESS",
        help="fill on the Ray cluster at this address, such as auto, or start Ray on this machine: local",
    )
    parser.add_argument(
        "--model",
        metavar="FILE",
        help="ONNX file (default: the model that ships, in 8 bits for CPUs and in float32 for GPUs)",
    )
    parser.add_argument(
        "--device", choices=get_args(Device), default="cpu", help="where to run the model (default: cpu)"
    )
    return parser
