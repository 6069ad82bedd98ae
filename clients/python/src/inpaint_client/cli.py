"""The `inpaint` command."""

import argparse
import logging
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn, get_args

from tqdm.auto import tqdm

from . import __version__
from .batch import SUFFIXES, Failure, Plan, expand_pattern, fill_batch, plan, run_batch
from .client import DEFAULT_RETRY_FOR, DEFAULT_TIMEOUT, DEFAULT_URL, InpaintClient
from .downloads import is_url
from .exceptions import InpaintError, InvalidInputError
from .files import format_from_suffix, write_atomically
from .inputs import load_image, load_mask, scale_mask
from .marks import check_mask_path, check_sensitivity
from .predictions import Metadata, OutputFormat, OutputSize
from .transport import DEFAULT_MODEL

_FILL_HELP = """\
Fill the marked parts of one photo or of many.

  inpaint fill photo.jpg mask.png -o filled.png
  inpaint fill cutout.png -o filled.png                (transparent pixels are the hole)
  inpaint fill - mask.png -o - < photo.jpg > filled.png
  inpaint fill a.jpg b.jpg --mask mask.png -o filled/  (one mask for all photos)
  inpaint fill photos/ --masks masks/ -o filled/       (the mask of photos/a.jpg is masks/a.png)

White pixels (128 and above) of the mask are the hole. The suffix of a result's name sets its format; in a
JPEG filled to a JPEG, only the blocks that the hole touches are encoded again. The results of several photos
are named after the photos, and are PNG files unless --output-format says otherwise. Existing results are
skipped, so an interrupted command can be run again to continue."""


_MASK_HELP = """\
Propose masks that cover the scratches, dust, pen strokes and lines of photos. Check them before filling.

  inpaint mask photo.jpg -o mask.png
  inpaint mask photo.jpg -o mask.png --sensitivity 0.8
  inpaint mask photos/ -o masks/                       (the mask of photos/a.jpg is masks/a.png)

TorchServe does not find marks; the ONNX Runtime server and Ray Serve do."""

# The formats that the server encodes, by their Pillow names. Other formats are converted from its PNG.
_FORMATS: dict[str, OutputFormat] = {"PNG": "png", "JPEG": "jpeg", "WEBP": "webp"}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


class _ProgressHandler(logging.Handler):
    """Prints log messages above the progress bar."""

    def emit(self, record: logging.LogRecord) -> None:
        tqdm.write(f"inpaint: {record.getMessage()}", file=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code: 0 for success, 1 for a failure, 2 for invalid usage."""
    options = _parser().parse_args(arguments)
    try:
        with (
            _retries_shown_on_terminal(),
            InpaintClient(
                options.url,
                api_key=options.api_key,
                timeout=options.timeout,
                retry_for=options.retry_for,
                model=options.model,
            ) as client,
        ):
            code: int = options.run(client, options)
            return code
    except InvalidInputError as error:
        return _report(str(error), 2)
    except (InpaintError, OSError) as error:
        return _report(str(error), 1)
    except KeyboardInterrupt:
        _report("interrupted", 130)
        # A normal exit would wait for the threads of the running requests.
        os._exit(130)


def _parser() -> argparse.ArgumentParser:
    connection = _Parser(add_help=False)
    group = connection.add_argument_group("connection")
    group.add_argument("--url", help=f"URL of the server (default: INPAINT_URL, or {DEFAULT_URL})")
    group.add_argument(
        "--api-key",
        metavar="KEY",
        help="API key (default: INPAINT_API_KEY, which is not visible in process lists and shell history)",
    )
    group.add_argument(
        "--model", default=DEFAULT_MODEL, help="model of a server that has several (default: %(default)s)"
    )

    requests = _Parser(add_help=False)
    group = requests.add_argument_group("requests")
    group.add_argument(
        "--allow-urls", action="store_true", help="download a photo or mask that is given as an http(s) URL"
    )
    group.add_argument("--recursive", action="store_true", help="include subfolders")
    group.add_argument("--overwrite", action="store_true", help="do not skip existing results")
    group.add_argument(
        "--timeout",
        type=float,
        default=DEFAULT_TIMEOUT,
        metavar="SECONDS",
        help=f"time for one photo in total, including retries (default: {DEFAULT_TIMEOUT:g})",
    )
    group.add_argument(
        "--retry-for",
        type=float,
        default=DEFAULT_RETRY_FOR,
        metavar="SECONDS",
        help="time to keep retrying while the server cannot be reached or is overloaded "
        f"(default: {DEFAULT_RETRY_FOR:g}; 0: do not retry)",
    )
    group.add_argument(
        "--concurrency", type=int, default=4, metavar="N", help="concurrent requests (default: 4)"
    )

    parser = _Parser(prog="inpaint", description="Fill holes in photos with an inpainting server.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    fill = commands.add_parser(
        "fill",
        parents=[connection, requests],
        help="fill photos",
        description=_FILL_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    fill.add_argument(
        "photos",
        metavar="PHOTO",
        nargs="+",
        help="photos, folders of photos or patterns such as 'photos/*.jpg', or - for stdin; "
        "if there are exactly two, and no --mask or --masks, the second is the mask",
    )
    one_of = fill.add_mutually_exclusive_group()
    one_of.add_argument("--mask", metavar="FILE", help="one mask for all photos")
    one_of.add_argument("--masks", metavar="FOLDER", type=Path, help="folder of masks named after the photos")
    fill.add_argument(
        "--scale-mask", action="store_true", help="resize the mask if its size differs from the photo's"
    )
    fill.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        required=True,
        help="file for one photo, folder for several, or - for stdout",
    )
    fill.add_argument(
        "--output-size",
        choices=get_args(OutputSize),
        default="original",
        help="size of the result: the photo's (default), or the model's 178x178",
    )
    fill.add_argument(
        "--output-format",
        choices=get_args(OutputFormat),
        help="format of the result (default: from the output's suffix; PNG for folders and stdout); "
        "same: the photo's format, if it is JPEG, PNG or WebP",
    )
    fill.add_argument(
        "--metadata",
        choices=get_args(Metadata),
        default="all",
        help="what the result keeps of EXIF, XMP and the colour profile (default: all); "
        "no-location: EXIF without the location, and no XMP; none: only the colour profile",
    )
    fill.set_defaults(run=_fill)

    mask = commands.add_parser(
        "mask",
        parents=[connection, requests],
        help="find marks: propose masks for photos",
        description=_MASK_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    mask.add_argument(
        "photos",
        metavar="PHOTO",
        nargs="+",
        help="photos, folders of photos or patterns such as 'photos/*.jpg', or - for stdin",
    )
    mask.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        required=True,
        help="PNG file for one photo, folder for several, or - for stdout",
    )
    mask.add_argument(
        "--sensitivity",
        type=float,
        default=0.5,
        metavar="S",
        help="from 0 (only what is certainly a mark) to 1 (whatever may be one); default: 0.5",
    )
    mask.set_defaults(run=_mask)

    health = commands.add_parser("health", parents=[connection], help="show the server's health")
    health.add_argument(
        "--wait", type=float, metavar="SECONDS", help="wait up to this long until the model is ready"
    )
    health.set_defaults(run=_health, timeout=DEFAULT_TIMEOUT, retry_for=DEFAULT_RETRY_FOR)
    return parser


def _fill(client: InpaintClient, options: argparse.Namespace) -> int:
    photos = _expand(options.photos)
    several = options.masks is not None or _are_several(
        photos, options, folder_output=options.mask is not None
    )
    if not several and len(photos) == 2 and options.mask is None:
        return _fill_one(client, photos[0], photos[1], options)
    if not several and len(photos) == 1:
        return _fill_one(client, photos[0], options.mask, options)
    return _fill_several(client, photos, options)


def _mask(client: InpaintClient, options: argparse.Namespace) -> int:
    check_sensitivity(options.sensitivity)
    photos = _expand(options.photos)
    if len(photos) == 1 and not _are_several(photos, options, folder_output=True):
        return _mask_one(client, photos[0], options)
    return _mask_several(client, photos, options)


def _expand(given: Sequence[str]) -> list[str]:
    return [
        photo for path in given for photo in ([path] if path == "-" or is_url(path) else expand_pattern(path))
    ]


def _are_several(photos: Sequence[str], options: argparse.Namespace, *, folder_output: bool) -> bool:
    """Return whether there may be several results; with `folder_output`, also if the output is a folder."""
    to_folder = options.output != "-" and (
        Path(options.output).is_dir() or options.output.endswith(("/", os.sep))
    )
    return (
        list(photos) != options.photos
        or any(Path(photo).is_dir() for photo in photos)
        or (folder_output and to_folder)
    )


def _fill_one(client: InpaintClient, photo: str, mask: str | None, options: argparse.Namespace) -> int:
    _check_for_one(options)
    if photo == mask == "-":
        raise InvalidInputError("stdin cannot be both the photo and the mask")
    to_stdout = options.output == "-"
    image_format = None if to_stdout else _check_output_file(Path(options.output))
    if image_format and options.output_format not in (None, "same", image_format.lower()):
        raise InvalidInputError(f"{options.output} does not match --output-format {options.output_format}")
    url_seconds = options.timeout if options.allow_urls else None
    photo_bytes = load_image(_path_or_stdin(photo), url_seconds=url_seconds)
    mask_bytes = None if mask is None else load_mask(_path_or_stdin(mask), url_seconds=url_seconds)
    if mask_bytes and options.scale_mask:
        mask_bytes = scale_mask(mask_bytes, photo_bytes)
    result = client.fill(
        photo_bytes,
        mask_bytes,
        output_size=options.output_size,
        output_format=options.output_format or _FORMATS.get(image_format or ""),
        metadata=options.metadata,
    )
    data = result.to_bytes(image_format or result.format)
    _write(options.output, data)
    return _report(
        f"filled {result.hole_ratio:.1%} of {result.width}x{result.height} pixels "
        f"with {result.model} {result.model_version}",
        0,
    )


def _mask_one(client: InpaintClient, photo: str, options: argparse.Namespace) -> int:
    _check_for_one(options)
    if options.output != "-":
        _check_output_file(check_mask_path(options.output))
    url_seconds = options.timeout if options.allow_urls else None
    marks = client.find_marks(
        load_image(_path_or_stdin(photo), url_seconds=url_seconds), sensitivity=options.sensitivity
    )
    _write(options.output, marks.mask)
    return _report(f"found marks on {marks.share:.2%} of {marks.width}x{marks.height} pixels", 0)


def _check_for_one(options: argparse.Namespace) -> None:
    if options.overwrite or options.recursive:
        raise InvalidInputError("--overwrite and --recursive require a folder or several photos")
    if options.output == "-" and sys.stdout.isatty():
        raise InvalidInputError("refusing to write an image to the terminal; redirect stdout or use -o FILE")


def _write(output: str, data: bytes) -> None:
    if output == "-":
        # Not `sys.stdout.buffer`, which would report a broken pipe again when the interpreter exits.
        with os.fdopen(1, "wb", closefd=False) as stdout:
            stdout.write(data)
    else:
        write_atomically(Path(output), data)


def _path_or_stdin(path: str) -> str | bytes:
    return sys.stdin.buffer.read() if path == "-" else path


def _check_output_file(output: Path) -> str:
    if output.is_dir():
        raise InvalidInputError(f"{output} is a folder; the output of one photo must be a file")
    if not output.parent.is_dir():
        raise InvalidInputError(f"the folder {output.parent} does not exist")
    return format_from_suffix(output)


def _fill_several(client: InpaintClient, photos: Sequence[str], options: argparse.Namespace) -> int:
    outputs = _check_several((*photos, options.mask), options)
    planned = plan(
        [Path(photo) for photo in photos],
        outputs,
        mask=None if options.mask is None else Path(options.mask),
        masks=options.masks,
        recursive=options.recursive,
        overwrite=options.overwrite,
        output_format=options.output_format or "png",
    )
    outputs.mkdir(parents=True, exist_ok=True)
    results = fill_batch(
        client,
        planned.jobs,
        scale_masks=options.scale_mask,
        output_size=options.output_size,
        output_format=options.output_format or "png",
        metadata=options.metadata,
        max_concurrency=options.concurrency,
        progress=sys.stderr.isatty(),
    )
    return _summarise(planned, results, "filled")


def _mask_several(client: InpaintClient, photos: Sequence[str], options: argparse.Namespace) -> int:
    outputs = _check_several(photos, options)
    planned = plan(
        [Path(photo) for photo in photos],
        outputs,
        recursive=options.recursive,
        overwrite=options.overwrite,
        need_masks=False,
    )
    outputs.mkdir(parents=True, exist_ok=True)
    results = run_batch(
        client,
        planned.jobs,
        lambda job: client.find_marks(job.photo, sensitivity=options.sensitivity),
        lambda marks: marks.mask,
        max_concurrency=options.concurrency,
        progress=sys.stderr.isatty(),
    )
    return _summarise(planned, results, "masks written")


def _check_several(inputs: Sequence[str | None], options: argparse.Namespace) -> Path:
    """Return the output folder of several photos."""
    outputs = Path(options.output)
    if "-" in (*inputs, options.output):
        raise InvalidInputError("- can only be used with one photo")
    if any(map(is_url, inputs)):
        raise InvalidInputError("a URL can only be used with one photo")
    if outputs.suffix.lower() in SUFFIXES and not outputs.is_dir():
        raise InvalidInputError(f"{outputs} is a file name; the output of several photos must be a folder")
    return outputs


def _summarise(planned: Plan, results: Iterable[object], verb: str) -> int:
    """Wait for the results, and report failures and counts."""
    done, failures = 0, list(planned.failures)
    for result in results:
        if isinstance(result, Failure):
            failures.append(result)
        else:
            done += 1
    for failure in failures:
        _report(f"{failure.photo}: {failure.reason}", 1)
    remaining = len(planned.jobs) - done - (len(failures) - len(planned.failures))
    if remaining:
        _report(f"stopped with {remaining} photos remaining; run the command again to continue", 1)
    return _report(
        f"{done} {verb}, {len(planned.finished)} skipped, {len(failures)} failed", 1 if failures else 0
    )


def _health(client: InpaintClient, options: argparse.Namespace) -> int:
    health = client.health() if options.wait is None else client.wait_until_ready(timeout=options.wait)
    server = " ".join(filter(None, (health.server, health.server_version)))
    model = f"model {health.model_version}" if health.model_version else ""
    print(", ".join(filter(None, (health.status, server, model))))
    return 0


@contextmanager
def _retries_shown_on_terminal() -> Iterator[None]:
    """Print a line when requests are retried, if stderr is a terminal."""
    logger, handler = logging.getLogger(__package__), _ProgressHandler()
    if not sys.stderr.isatty():
        yield
        return
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def _report(message: str, code: int) -> int:
    print(f"inpaint: {message}", file=sys.stderr)
    return code
