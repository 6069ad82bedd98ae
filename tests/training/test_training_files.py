"""Files written whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from full_disk import full_disk

from training.files import sha256, write_atomically, write_json


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "file"
    write_atomically(target, b"old")
    with full_disk(), pytest.raises(OSError, match="File too large"):
        write_atomically(target, b"new" * 1000)
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_write_makes_folders_and_replaces(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b" / "file"
    for content in (b"one", b"two"):
        write_atomically(target, content)
        assert target.read_bytes() == content
    assert list(target.parent.iterdir()) == [target]


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
