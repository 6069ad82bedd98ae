"""`python -m training shards`: pack a folder of pictures into shards."""

from __future__ import annotations

import argparse
import io
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from training.errors import DataError, SettingsError, check_at_least
from training.files import write_json
from training.pictures import find_pictures
from training.shards import INDEX_KIND, index_name, is_sharded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from training.pictures import Split

PER_SHARD = 1000


def pack(files: Sequence[Path], split: Split, output: Path, per_shard: int, rng: np.random.Generator) -> None:
    """Write the pictures of a split, in random order, to shards and their index; their bytes are copied unchanged.

    Raises:
        DataError: A picture cannot be read.
        OSError: A shard cannot be written.
    """
    order = [files[number] for number in rng.permutation(len(files))]
    shards = [order[first : first + per_shard] for first in range(0, len(order), per_shard)]
    listed = []
    with tqdm(total=len(order), desc=split, unit="picture") as bar:
        for number, members in enumerate(shards):
            name = f"{split}-{number:06}.tar"
            part = output / f".{name}.part"
            with tarfile.open(part, "w") as archive:
                for position, file in enumerate(members):
                    _add(archive, f"{number * per_shard + position:09}{file.suffix.lower()}", file)
                    bar.update()
            part.replace(output / name)
            listed.append({"url": name, "nsamples": len(members)})
    index = {"__kind__": INDEX_KIND, "wids_version": 1, "name": split, "shardlist": listed}
    write_json(output / index_name(split), index)


def _add(archive: tarfile.TarFile, name: str, file: Path) -> None:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}") from error
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def main(argv: list[str]) -> None:
    """Run the command.

    Raises:
        SettingsError: An option has an invalid value, or the output already holds shards.
        DataError: The folder is invalid, or a picture cannot be read.
        OSError: A shard cannot be written.
    """
    parser = argparse.ArgumentParser(
        "python -m training shards",
        description="Pack a folder of pictures into tar files for each split, for `fit --data.root OUT` or its URL.",
    )
    parser.add_argument("folder", type=Path, help="CelebA's folder or any folder of pictures")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="folder to write to")
    parser.add_argument("--per-shard", type=int, default=PER_SHARD, metavar="N", help="pictures per shard")
    parser.add_argument("--seed", type=int, default=0, help="seed of the pictures' order")
    options = parser.parse_args(argv)
    check_at_least("--per-shard", options.per_shard, 1)
    check_at_least("--seed", options.seed, 0)
    splits = find_pictures(options.folder)
    if is_sharded(options.output):
        raise SettingsError(f"{options.output} already holds shards; choose another folder")
    options.output.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(options.seed)
    # The index of "train" is written last: its presence makes the output a folder of shards.
    names: list[Split] = ["test", "val", "train"]
    for split in names:
        pack(getattr(splits, split), split, options.output, options.per_shard, rng)
    print(
        f"written: {', '.join(f'{len(getattr(splits, name))} {name}' for name in names)} to {options.output}"
    )
