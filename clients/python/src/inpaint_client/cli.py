"""The command `inpaint`."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn, get_args

from . import __version__
from .client import DEFAULT_URL, InpaintClient
from .errors import InpaintError, InvalidInputError
from .files import write_atomically
from .folder import Failure, fill_folder, plan
from .prediction import OutputSize
from .result import format_of

_FILL_HELP = """\
Fill the marked parts of a photo, or of every photo in a folder.

  inpaint fill photo.jpg mask.png -o filled.png
  inpaint fill cutout.png -o filled.png                (transparent pixels are the hole)
  inpaint fill photos/ --masks masks/ -o filled/       (photos/a.jpg goes with masks/a.png)
  inpaint fill - mask.png -o - < photo.jpg > filled.png

In a mask white (128 and above) is the hole. In folder mode results are PNG files named after their
photos; those that are there already are skipped, so a run that was cut off can just be started again."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0: done, 1: a failure, 2: wrong usage, each failure told in one line on stderr."""
    options = _parser().parse_args(arguments)
    try:
        with InpaintClient(
            options.url, api_key=options.api_key, timeout=options.timeout, retries=options.retries
        ) as client:
            code: int = options.run(client, options)
            return code
    except InvalidInputError as error:
        return _say(str(error), 2)
    except (InpaintError, OSError) as error:
        return _say(str(error), 1)
    except KeyboardInterrupt:
        _say("interrupted", 130)
        # A usual exit would wait for the requests under way; they have nothing on disk that could be lost.
        os._exit(130)


def _parser() -> argparse.ArgumentParser:
    connection = _Parser(add_help=False)
    group = connection.add_argument_group("connection")
    group.add_argument("--url", help=f"the server's address (default: INPAINT_URL, or {DEFAULT_URL})")
    group.add_argument(
        "--api-key",
        metavar="KEY",
        help="better set INPAINT_API_KEY: a key on the command line shows in process lists and shell history",
    )
    group.add_argument(
        "--timeout", type=float, metavar="SECONDS", help="how long to wait for an answer (120)"
    )
    group.add_argument("--retries", type=int, metavar="N", help="repeats after a failure that may pass (3)")

    parser = _Parser(prog="inpaint", description="Fill holes in photos through an inpainting server.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    fill = commands.add_parser(
        "fill",
        parents=[connection],
        help="fill a photo, or a folder of photos",
        description=_FILL_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    fill.add_argument("photo", metavar="PHOTO", help="a picture, a folder of pictures, or - for stdin")
    fill.add_argument("mask", metavar="MASK", nargs="?", help="its mask, or - for stdin")
    fill.add_argument("--masks", metavar="DIR", type=Path, help="folder mode: the folder of masks")
    fill.add_argument("-o", "--output", metavar="OUT", required=True, help="file, folder, or - for stdout")
    fill.add_argument(
        "--output-size",
        choices=get_args(OutputSize),
        default="original",
        help="the photo's own size (default), or the model's 178x178",
    )
    fill.add_argument("--overwrite", action="store_true", help="folder mode: fill finished ones anew")
    fill.add_argument(
        "--concurrency", type=int, default=4, metavar="N", help="folder mode: requests at one time (4)"
    )
    fill.set_defaults(run=_fill)

    health = commands.add_parser("health", parents=[connection], help="ask whether the server is well")
    health.add_argument(
        "--wait", type=float, metavar="SECONDS", help="wait so long until the model answers a prediction"
    )
    health.set_defaults(run=_health)
    return parser


def _fill(client: InpaintClient, options: argparse.Namespace) -> int:
    if options.photo != "-" and Path(options.photo).is_dir():
        return _fill_folder(client, options)
    if options.masks is not None or options.overwrite:
        raise InvalidInputError(
            f"--masks and --overwrite are for folders, and {options.photo} is none; give its mask after it"
        )
    return _fill_one(client, options)


def _fill_one(client: InpaintClient, options: argparse.Namespace) -> int:
    if options.photo == options.mask == "-":
        raise InvalidInputError("stdin cannot be both photo and mask")
    to_stdout = options.output == "-"
    picture_format = "PNG" if to_stdout else _writable_format(Path(options.output))
    if to_stdout and sys.stdout.isatty():
        raise InvalidInputError("will not write a picture to the terminal; redirect stdout, or give -o FILE")
    photo, mask = (
        sys.stdin.buffer.read() if given == "-" else given for given in (options.photo, options.mask)
    )
    result = client.fill(photo, mask, output_size=options.output_size)
    data = result.to_bytes(picture_format)
    if to_stdout:
        # Its own file object, so that a reader who goes away is an error here and not one more at exit.
        with os.fdopen(1, "wb", closefd=False) as stdout:
            stdout.write(data)
    else:
        write_atomically(Path(options.output), data)
    return _say(
        f"filled {result.hole_ratio:.1%} of {result.width}x{result.height} pixels "
        f"with {result.model} {result.model_version}",
        0,
    )


def _writable_format(output: Path) -> str:
    if output.is_dir():
        raise InvalidInputError(f"{output} is a folder; name a file in it")
    if not output.parent.is_dir():
        raise InvalidInputError(f"there is no folder {output.parent}; make it first")
    return format_of(output)


def _fill_folder(client: InpaintClient, options: argparse.Namespace) -> int:
    if options.mask is not None:
        raise InvalidInputError(f"{options.photo} is a folder; give its folder of masks as --masks")
    outputs = Path(options.output)
    todo = plan(Path(options.photo), options.masks, outputs, overwrite=options.overwrite)
    outputs.mkdir(parents=True, exist_ok=True)
    filled, failures = 0, list(todo.failures)
    for outcome in fill_folder(
        client,
        todo.jobs,
        output_size=options.output_size,
        max_concurrency=options.concurrency,
        progress=sys.stderr.isatty(),
    ):
        if isinstance(outcome, Failure):
            failures.append(outcome)
        else:
            filled += 1
    untried = len(todo.jobs) - filled - (len(failures) - len(todo.failures))
    for failure in failures:
        _say(f"{failure.photo}: {failure.reason}", 1)
    if untried:
        _say(f"gave up with {untried} photos untried; the same command goes on from here", 1)
    return _say(
        f"{filled} filled, {len(todo.finished)} skipped as finished, {len(failures)} failed",
        1 if failures else 0,
    )


def _health(client: InpaintClient, options: argparse.Namespace) -> int:
    health = client.health() if options.wait is None else client.wait_until_ready(timeout=options.wait)
    server = " ".join(filter(None, (health.server, health.server_version)))
    model = f"model {health.model_version}" if health.model_version else ""
    print(", ".join(filter(None, (health.status, server, model))))
    return 0


def _say(message: str, code: int) -> int:
    print(f"inpaint: {message}", file=sys.stderr)
    return code
