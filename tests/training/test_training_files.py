"""Files written whole or not at all."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from full_disk import full_disk

from training.files import sha256, write_atomically, write_json


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "file"
    write_atomically(target, b"old")
    with full_disk(), pytest.raises(OSError, match="File too large") as caught:
        write_atomically(target, b"new" * 1000)
    assert caught.value.filename == str(target)
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_write_makes_folders_and_replaces(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b" / "file"
    for content in (b"one", b"two"):
        write_atomically(target, content)
        assert target.read_bytes() == content
    assert list(target.parent.iterdir()) == [target]


def test_a_device_is_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/full")):
        with pytest.raises(OSError, match="not a regular file") as caught:
            write_atomically(path, b"content")
        assert caught.value.filename == str(path)
        assert not path.is_file()


def test_a_symbolic_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "file")
    write_atomically(tmp_path / "link", b"content")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"content"


_KILLED = """
import os, signal, sys
from pathlib import Path
from training import files

files.os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)
files.write_atomically(Path(sys.argv[1]), b"new")
"""


def test_only_leftovers_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    target, other = tmp_path / "file", tmp_path / "other"
    for path in (target, other):
        assert subprocess.run([sys.executable, "-c", _KILLED, str(path)]).returncode == -signal.SIGKILL
    (tmp_path / "file.part").write_bytes(b"the user's")
    (left,) = tmp_path.glob(".file.*.part")
    with left.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # as if it were still being written
        write_atomically(target, b"new")
        assert left.exists()
    write_atomically(target, b"newer")
    assert target.read_bytes() == b"newer"
    (others,) = tmp_path.glob(".other.*.part")
    assert sorted(tmp_path.iterdir()) == sorted([target, tmp_path / "file.part", others])


def test_a_reader_of_the_old_file_reads_it_to_its_end(tmp_path: Path) -> None:
    target = tmp_path / "file"
    write_atomically(target, b"old" * 1000)
    with target.open("rb", buffering=0) as reader:
        assert reader.read(3) == b"old"
        write_atomically(target, b"new" * 1000)
        assert reader.read() == b"old" * 999
    assert target.read_bytes() == b"new" * 1000


def test_sha256(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    assert sha256(tmp_path / "file") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_json_without_infinity_and_nan(tmp_path: Path) -> None:
    document = {"psnr": [30.5, float("inf")], "deep": {"nan": float("nan"), "pair": (1, "x", None)}}
    write_json(tmp_path / "a" / "figures.json", document)
    read = json.loads((tmp_path / "a" / "figures.json").read_text(), parse_constant=pytest.fail)
    assert read == {"psnr": [30.5, None], "deep": {"nan": None, "pair": [1, "x", None]}}
