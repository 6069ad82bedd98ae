"""Pictures in shards: packed, read from a folder and from a server through a bounded cache, and trained on."""

from __future__ import annotations

import functools
import json
import pickle
import tarfile
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import training_runs as runs

from training import masks
from training.draws import Mixture, TrainingDraws
from training.errors import DataError
from training.pictures import find_pictures, load_picture
from training.shards import ShardCache, ShardedPictures, is_sharded
from training.transforms import AugmentConfig

PER_SHARD = 4

pytestmark = [
    # Lightning's command line still uses names that jsonargparse has deprecated.
    pytest.mark.filterwarnings("ignore::jsonargparse._deprecated.JsonargparseDeprecationWarning"),
    # On machines with more than two cores Lightning suggests more loader processes; ours have little to load.
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
]


@pytest.fixture(scope="module")
def shards(celeba: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """14 training pictures in shards of 4, and 3 pictures in each of the other splits."""
    root = tmp_path_factory.mktemp("shards")
    assert runs.run_here(["shards", str(celeba), "-o", str(root), "--per-shard", str(PER_SHARD)]) == 0
    return root


class Handler(SimpleHTTPRequestHandler):
    """Serves a folder and counts the requests for each shard."""

    asked: dict[str, int]

    def do_GET(self) -> None:
        self.asked[self.path] = self.asked.get(self.path, 0) + 1
        super().do_GET()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server(shards: Path) -> Iterator[tuple[str, dict[str, int]]]:
    """The URL of a web server with the shards, and the number of requests for each file."""
    asked: dict[str, int] = {}
    handler = functools.partial(type("Counting", (Handler,), {"asked": asked}), directory=str(shards))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as web:
        thread = threading.Thread(target=web.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{web.server_port}", asked
        web.shutdown()
        thread.join()


def test_shards_hold_every_picture_once_as_it_is(celeba: Path, shards: Path) -> None:
    """In WebDataset's layout, with an index for its `wids`."""
    splits = find_pictures(celeba)
    for name, files in (("train", splits.train), ("val", splits.val), ("test", splits.test)):
        index = json.loads((shards / f"{name}.json").read_text())
        assert index["__kind__"] == "wids-shard-index-v1"
        packed = []
        for shard in index["shardlist"]:
            with tarfile.open(shards / shard["url"]) as archive:
                members = archive.getmembers()
                assert len(members) == shard["nsamples"] <= PER_SHARD
                packed += [archive.extractfile(member).read() for member in members]  # type: ignore[union-attr]
        assert sorted(packed) == sorted(file.read_bytes() for file in files)
        assert len(files) < 4 or packed != [file.read_bytes() for file in files]  # in random order
    assert is_sharded(shards)
    assert not is_sharded(celeba)


def test_pictures_come_through_a_cache_that_stays_within_its_limit(
    shards: Path, server: tuple[str, dict[str, int]], tmp_path: Path
) -> None:
    """Of four shards, two fit into the cache: reading them in turn downloads each once."""
    url, asked = server
    limit = 2 * max(shard.stat().st_size for shard in shards.glob("train-*.tar"))
    cache = ShardCache(tmp_path / "cache", limit)
    near, far = ShardedPictures(str(shards), "train", cache), ShardedPictures(url, "train", cache)
    assert len(near) == len(far) == 14
    for number in range(14):
        np.testing.assert_array_equal(load_picture(far[number]), load_picture(near[number]))
        assert sum(file.stat().st_size for file in cache.folder.glob("*.tar")) <= limit
    downloads = {path: count for path, count in asked.items() if path.endswith(".tar")}
    assert downloads == {f"/train-{shard:06}.tar": 1 for shard in range(4)}
    copy = pickle.loads(pickle.dumps(far))  # as a loader process receives it
    load_picture(copy[0])  # its shard was removed from the cache
    assert asked["/train-000000.tar"] == 2
    assert not list(cache.folder.glob("*.part"))


def test_an_epoch_draws_every_picture_once_and_reads_the_shards_in_turn() -> None:
    mixture = Mixture((1000, 500), (1000, 500))
    draws = TrainingDraws(mixture, 32, {"fine": 1.0}, masks.PRESETS, AugmentConfig(), 0, window=50)
    for epoch in (0, 1):
        order = np.array([int(draws[n].picture) for n in range(epoch * 1500, (epoch + 1) * 1500)])
        assert sorted(order) == list(range(1500))
        for first, count in ((0, 1000), (1000, 500)):
            inside = order[(order >= first) & (order < first + count)] - first
            assert np.abs(inside - np.arange(count)).max() < 2 * 50
            assert (inside != np.arange(count)).mean() > 0.9


def test_a_run_trains_from_a_server_and_resumes(
    shards: Path, server: tuple[str, dict[str, int]], tmp_path: Path
) -> None:
    """Its losses are the same as with the folder of shards, even after a stop."""
    url, asked = server

    def train(root: str, run: Path, steps: int, *more: str) -> dict[str, dict[int, float]]:
        small = ("--data.batch_size", "3", "--data.size", "32", "--data.cache", str(tmp_path / "cache"))
        length = ("--trainer.max_steps", str(steps), "--model.optimizer.schedule", "report")
        options = (*small, *length, "--trainer.val_check_interval", "3", "--data.root", root, *more)
        assert runs.run_here(runs.arguments("default", Path("unused"), run, *options)) == 0
        return runs.curves(run)

    expected = train(str(shards), tmp_path / "near", 6)
    train(url, tmp_path / "far", 3)
    found = train(url, tmp_path / "far", 6, "--ckpt_path", "last")
    for name in ("train_loss", "val_psnr"):
        assert found[name] == pytest.approx(expected[name], rel=1e-4)
    assert asked["/train-000000.tar"] == 1


def test_what_cannot_be_read_is_one_line(
    shards: Path, celeba: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fit(root: str, *options: str) -> list[str]:
        return runs.arguments("default", Path("unused"), tmp_path / "run", *options, "--data.root", root)

    nowhere = "memory://nowhere"
    runs.expect_one_line(fit(nowhere), 1, f"{nowhere}/train.json is not a readable index of shards", capsys)
    runs.expect_one_line(fit("spam://there"), 1, "spam://there/train.json is not a readable index", capsys)
    paired = ("--data.mask_folder", str(celeba), "--data.masks", "{paired: 1}")
    runs.expect_one_line(fit(str(shards), *paired), 1, "need folders of pictures, not shards", capsys)
    runs.expect_one_line(["shards", str(celeba), "-o", str(shards)], 1, "already holds shards", capsys)

    (tmp_path / "train.json").write_text(
        json.dumps({"shardlist": [{"url": "gone.tar", "nsamples": 2}, {"url": "short.tar", "nsamples": 2}]})
    )
    with tarfile.open(tmp_path / "short.tar", "w") as archive:
        archive.add(next((celeba / "img_align_celeba").iterdir()), "0.jpg")
    pictures = ShardedPictures(str(tmp_path), "train", ShardCache(tmp_path / "cache", 0))
    with pytest.raises(DataError, match=r"gone\.tar cannot be read: .*No such file"):
        pictures[0].read_bytes()
    assert pictures[2].read_bytes()
    with pytest.raises(DataError, match=r"short\.tar has 1 pictures, fewer than its index says"):
        pictures[3].read_bytes()
