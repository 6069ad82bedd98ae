"""Fill many files: find photos and masks, and write the results to a folder."""

import glob
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from PIL import Image
from tqdm.auto import tqdm

from .client import InpaintClient
from .concurrency import map_ordered
from .exceptions import HTTPStatusError, InpaintError, InvalidInputError, TransportError
from .files import write_atomically
from .inputs import load_image, load_mask, scale_mask
from .predictions import FillResult, Metadata, OutputFormat, OutputSize

T = TypeVar("T")

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"})
_KEPT_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp"})
_SUFFIX_OF = {"png": ".png", "jpeg": ".jpg", "webp": ".webp"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """A photo to fill, its mask (None if the photo has an alpha channel) and the file for the result."""

    photo: Path
    mask: Path | None
    output: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """A photo that was not filled, and the reason; `fatal` if all following photos would fail too."""

    photo: Path
    reason: str
    fatal: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """Photos to fill, results that already exist, and photos without a mask."""

    jobs: list[Job]
    finished: list[Path]
    failures: list[Failure]


def expand_pattern(path: str) -> list[str]:
    """Return the files that a pattern such as `photos/*.jpg` matches, or the path itself if it exists.

    Raises:
        InvalidInputError: the pattern matches nothing.
    """
    if not glob.has_magic(path) or Path(path).exists():
        return [path]
    matches = sorted(glob.glob(path, recursive=True))  # noqa: PTH207 - Path.glob rejects absolute patterns
    if not matches:
        raise InvalidInputError(f"no files match {path}")
    return matches


def plan(
    photos: Sequence[Path],
    outputs: Path,
    *,
    mask: Path | None = None,
    masks: Path | None = None,
    recursive: bool = False,
    overwrite: bool = False,
    output_format: OutputFormat = "png",
    need_masks: bool = True,
) -> Plan:
    """Plan the jobs for some photos and folders of photos.

    The name of a photo is its path without the suffix, relative to its folder. Its mask is `mask`, or the
    file of the same name in `masks`. The result is the file of the same name in `outputs`, with the suffix of its
    format.

    Args:
        photos: files, and folders whose images are all filled.
        outputs: folder for the results.
        mask: one mask for all photos.
        masks: folder of masks.
        recursive: whether to include subfolders.
        overwrite: whether to fill photos whose results already exist.
        need_masks: whether a photo without a mask fails, unless it has an alpha channel.
        output_format: the format of the results; `same` keeps the suffixes of JPEG, PNG and WebP files.

    Raises:
        InvalidInputError: an input does not exist, two photos have the same name, or a result would replace an input.
    """
    missing = [str(path) for path in (*photos, mask) if path is not None and not path.exists()]
    if missing:
        raise InvalidInputError(f"{', '.join(missing)}: no such file or folder")
    folders = [path for path in (*photos, masks) if path is not None and path.is_dir()]
    if any(outputs.resolve() == folder.resolve() for folder in folders):
        raise InvalidInputError(
            f"the results would replace the inputs in {outputs}; use another output folder"
        )
    excluded = [path.resolve() for path in (outputs, mask, masks) if path is not None]
    mask_of = _images_by_name(masks, recursive, excluded[:1]) if masks else {}
    photo_of: dict[str, Path] = {}
    for path in photos:
        found = _images_by_name(path, recursive, excluded) if path.is_dir() else {path.stem: path}
        for name, photo in found.items():
            _add(photo_of, name, photo)

    result = Plan(jobs=[], finished=[], failures=[])
    for name, photo in photo_of.items():
        suffix = _SUFFIX_OF.get(output_format) or (
            photo.suffix if photo.suffix.lower() in _KEPT_SUFFIXES else ".png"
        )
        job = Job(photo=photo, mask=mask or mask_of.get(name), output=outputs / f"{name}{suffix}")
        if job.output.resolve() in (photo.resolve(), job.mask and job.mask.resolve()):
            raise InvalidInputError(f"the result would replace {job.output}; use another output folder")
        if job.output.exists() and not overwrite:
            result.finished.append(job.output)
        elif need_masks and job.mask is None and not _has_alpha(photo):
            expected = f"no mask {masks / name}.*" if masks else "no mask (see --mask and --masks)"
            reason = f"{expected}, and the photo has no transparent pixels"
            result.failures.append(Failure(photo=photo, reason=reason))
        else:
            result.jobs.append(job)
    return result


def fill_batch(
    client: InpaintClient,
    jobs: Sequence[Job],
    *,
    scale_masks: bool,
    output_size: OutputSize,
    max_concurrency: int,
    progress: bool,
    output_format: OutputFormat = "png",
    metadata: Metadata = "all",
) -> Generator[FillResult | Failure, None, None]:
    """Fill the photos with `run_batch`."""

    def fill(job: Job) -> FillResult:
        photo = load_image(job.photo)
        mask = load_mask(job.mask) if job.mask else None
        if mask and scale_masks:
            mask = scale_mask(mask, photo)
        return client.fill(
            photo, mask, output_size=output_size, output_format=output_format, metadata=metadata
        )

    return run_batch(
        client,
        jobs,
        fill,
        lambda result: result.image,
        max_concurrency=max_concurrency,
        progress=progress,
    )


def run_batch(
    client: InpaintClient,
    jobs: Sequence[Job],
    work: Callable[[Job], T],
    content: Callable[[T], bytes],
    *,
    max_concurrency: int,
    progress: bool,
) -> Generator[T | Failure, None, None]:
    """Run the jobs concurrently, write the results, and yield them in order.

    Stops after a fatal failure: the server can no longer be reached, or rejects every request.

    Args:
        client: the client that `work` uses.
        jobs: the jobs to run.
        work: runs one job and returns its result, or raises `InpaintError`.
        content: returns the file to write for a result.
        max_concurrency: maximum number of concurrent requests.
        progress: whether to show a progress bar.

    Raises:
        InvalidInputError: `max_concurrency` is invalid.
        OSError: a result cannot be written.
    """
    if max_concurrency < 1:
        raise InvalidInputError(f"concurrency is {max_concurrency}; it must be 1 or more")

    def attempt(job: Job) -> T | InpaintError:
        try:
            return work(job)
        except InpaintError as error:
            return error

    with closing(map_ordered(attempt, jobs, max_concurrency=max_concurrency)) as results:
        bar = tqdm(zip(jobs, results, strict=True), total=len(jobs), unit="photo", disable=not progress)
        for job, result in bar:
            if not isinstance(result, InpaintError):
                job.output.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(job.output, content(result))
                yield result
                continue
            fatal = _is_fatal(result, client)
            yield Failure(photo=job.photo, reason=str(result), fatal=fatal)
            if fatal:
                return


def _images_by_name(folder: Path, recursive: bool, excluded: Iterable[Path]) -> dict[str, Path]:
    """Return the images in a folder, sorted, by their relative path without the suffix."""
    try:
        if not folder.is_dir():
            raise InvalidInputError(f"cannot read the folder {folder}: not a folder")
        paths = sorted(folder.rglob("*") if recursive else folder.iterdir())
    except OSError as error:
        raise InvalidInputError(f"cannot read the folder {folder}: {error.strerror}") from error
    images: dict[str, Path] = {}
    for path in paths:
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if hidden or path.suffix.lower() not in SUFFIXES or not path.is_file():
            continue
        resolved = path.resolve()
        if not any(resolved.is_relative_to(other) for other in excluded):
            _add(images, str(path.relative_to(folder).with_suffix("")), path)
    if not images:
        raise InvalidInputError(f"no images in {folder}; supported are {', '.join(sorted(SUFFIXES))}")
    return images


def _add(images: dict[str, Path], name: str, path: Path) -> None:
    other = images.setdefault(name, path)
    if other != path:
        raise InvalidInputError(f"{other} and {path} have the same name {name!r}; rename one of them")


def _has_alpha(photo: Path) -> bool:
    try:
        with Image.open(photo) as image:
            return image.has_transparency_data
    except (OSError, Image.DecompressionBombError):
        return False


def _is_fatal(error: InpaintError, client: InpaintClient) -> bool:
    if isinstance(error, HTTPStatusError) and error.code in (401, 403, 404):
        return True
    if isinstance(error, TransportError) or (isinstance(error, HTTPStatusError) and error.code >= 502):
        # One photo may be too large or too slow. If the server is down, its health check fails as well.
        try:
            client.health()
        except InpaintError:
            return True
    return False
