"""Find the photos to fill, their masks, and which results are missing."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from serving.batch.storage import SUFFIXES, is_within, join, list_files
from serving.core.errors import SettingsError


@dataclass(frozen=True)
class Job:
    """A photo to fill. All attributes are paths, or URLs of fsspec.

    Attributes:
        photo: the photo.
        mask: its mask, or None if its transparent pixels are the hole.
        output: the PNG file to write.
    """

    photo: str
    mask: str | None
    output: str


@dataclass(frozen=True)
class Plan:
    """The photos to fill, and the number of results that already exist."""

    jobs: list[Job]
    finished: int


def plan(
    photos: str,
    output: str,
    *,
    mask: str | None = None,
    masks: str | None = None,
    recursive: bool = False,
    overwrite: bool = False,
) -> Plan:
    """Plan what to fill.

    The mask of `photos/a/b.jpg` is `masks/a/b.png`, with any suffix, and its result `output/a/b.png`.

    Args:
        photos: folder of photos.
        output: folder for the results.
        mask: one mask for all photos.
        masks: folder of masks.
        recursive: whether to include subfolders.
        overwrite: whether to fill photos whose results exist.

    Raises:
        SettingsError: a folder does not exist or has no images, results would replace inputs, or two photos have the
            same name.
    """
    for folder in filter(None, (photos, masks)):
        if is_within(output, folder) and is_within(folder, output):
            raise SettingsError(
                f"The results would replace the files in {folder}: choose another output folder."
            )
    photo_of = _by_name(photos, recursive, filter(None, (output, masks, mask)))
    mask_of = _by_name(masks, recursive, [output]) if masks else {}
    existing = set() if overwrite else _results(output, recursive)
    jobs = [
        Job(photo=photo, mask=mask or mask_of.get(name), output=join(output, f"{name}.png"))
        for name, photo in photo_of.items()
        if f"{name}.png" not in existing
    ]
    return Plan(jobs, len(photo_of) - len(jobs))


def _by_name(folder: str, recursive: bool, excluded: Iterable[str]) -> dict[str, str]:
    """Return the images in a folder by their relative path without the suffix."""
    excluded = [path for path in excluded if is_within(path, folder)]
    images: dict[str, str] = {}
    for file in list_files(folder, recursive):
        path = join(folder, file)
        if PurePosixPath(file).suffix.lower() not in SUFFIXES or any(is_within(path, at) for at in excluded):
            continue
        name = str(PurePosixPath(file).with_suffix(""))
        if name in images:
            raise SettingsError(f"{images[name]} and {path} have the same name: rename one of them.")
        images[name] = path
    if not images:
        raise SettingsError(f"There are no images in {folder}: supported are {', '.join(sorted(SUFFIXES))}.")
    return images


def _results(output: str, recursive: bool) -> set[str]:
    try:
        return set(list_files(output, recursive))
    except SettingsError:  # there is no such folder yet
        return set()
