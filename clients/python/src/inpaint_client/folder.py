"""A folder of photos and a folder of masks → a folder of filled pictures."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from .client import InpaintClient
from .errors import InpaintError, InvalidInputError, ResponseError, TransportError
from .files import write_atomically
from .prediction import OutputSize
from .result import FillResult

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One photo, its mask (None: the photo's own transparency) and the file for the result."""

    photo: Path
    mask: Path | None
    output: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """A photo that was not filled, and why; `fatal` where every photo after it would fail alike."""

    photo: Path
    reason: str
    fatal: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What a folder holds: jobs to do, results that are there already, photos that cannot be filled."""

    jobs: list[Job]
    finished: list[Path]
    failures: list[Failure]


def plan(photos: Path, masks: Path | None, outputs: Path, *, overwrite: bool) -> Plan:
    """Match photos and masks by the name before the suffix; each result is `outputs`/name.png.

    Raises:
        InvalidInputError: no photos, two of one name in a folder, or results that would replace the inputs.
    """
    if any(folder is not None and outputs.resolve() == folder.resolve() for folder in (photos, masks)):
        raise InvalidInputError(f"{outputs}: results would replace the inputs; give another output folder")
    mask_of = _pictures(masks) if masks else {}
    result = Plan(jobs=[], finished=[], failures=[])
    for name, photo in _pictures(photos).items():
        job = Job(photo=photo, mask=mask_of.get(name), output=outputs / f"{name}.png")
        if job.output.exists() and not overwrite:
            result.finished.append(job.output)
        elif job.mask is None and not _has_transparency(photo):
            wanted = f"no mask {masks / name}.*" if masks else "no mask (--masks)"
            result.failures.append(Failure(photo=photo, reason=f"{wanted}, and no transparency in the photo"))
        else:
            result.jobs.append(job)
    return result


def fill_folder(
    client: InpaintClient,
    jobs: Sequence[Job],
    *,
    output_size: OutputSize,
    max_concurrency: int,
    progress: bool,
) -> Iterator[FillResult | Failure]:
    """Fill and write each job's picture, and yield what became of it, in order.

    Ends early after a fatal failure: the server is gone, or refuses the API key or the address.

    Raises:
        OSError: a result cannot be written.
    """
    outcomes = client.fill_many(
        ((job.photo, job.mask) for job in jobs),
        total=len(jobs),
        output_size=output_size,
        max_concurrency=max_concurrency,
        progress=progress,
    )
    with closing(outcomes):
        for job, outcome in zip(jobs, outcomes, strict=True):
            if isinstance(outcome, FillResult):
                write_atomically(job.output, outcome.png)
                yield outcome
                continue
            fatal = _is_fatal(outcome, client)
            yield Failure(photo=job.photo, reason=str(outcome), fatal=fatal)
            if fatal:
                return


def _pictures(folder: Path) -> dict[str, Path]:
    """Pictures directly in `folder`, by the name before the suffix, sorted."""
    found: dict[str, Path] = {}
    try:
        paths = sorted(
            path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file()
        )
    except OSError as error:
        raise InvalidInputError(f"cannot read the folder {folder}: {error.strerror}") from error
    for path in paths:
        other = found.setdefault(path.stem, path)
        if other != path:
            raise InvalidInputError(f"{other} and {path} share the name {path.stem!r}; rename one of them")
    if not found:
        raise InvalidInputError(f"no pictures in {folder}; wanted are {', '.join(sorted(SUFFIXES))}")
    return found


def _has_transparency(photo: Path) -> bool:
    try:
        with Image.open(photo) as image:
            return image.has_transparency_data
    except (OSError, Image.DecompressionBombError):
        return False


def _is_fatal(error: InpaintError, client: InpaintClient) -> bool:
    if isinstance(error, ResponseError):
        return error.code in (401, 403, 404)
    if isinstance(error, TransportError):
        # One photo may be too large or too slow for the server; a server that is gone answers no ping either.
        try:
            client.health()
        except InpaintError:
            return True
    return False
