"""Filling folders without a server: `python -m serving.batch`."""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import fsspec
import numpy as np
import psutil
import pytest
from engines import MODEL, ROOT
from PIL import Image
from requests_in_flight import PATIENCE, large, until
from sample_pictures import encode, encode_mask, face, scratch

from serving.batch.command import main
from serving.core.contract import FillRequest
from serving.core.pipeline import Pipeline

HEIGHT, WIDTH = 60, 80
HOLE = scratch(HEIGHT, WIDTH, 5)
NAMES = ("ann", "bob", "sub/cem")


def photo(number: int) -> bytes:
    return encode(np.roll(face(HEIGHT, WIDTH), number, axis=1))


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """A folder with photos and a mask for each, one of them in a subfolder."""
    for number, name in enumerate(NAMES):
        for folder, file in (("photos", photo(number)), ("masks", encode_mask(HOLE))):
            path = tmp_path / folder / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file)
    return tmp_path


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def batch(*arguments: object) -> int:
    return main(["--model", str(MODEL), *map(str, arguments)])


def test_results_match_the_pipeline_and_existing_ones_are_skipped(
    album: Path, pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    command = (album / "photos", "--masks", album / "masks", "-o", album / "out")
    assert batch(*command) == 0
    assert capsys.readouterr().err.endswith("batch: 2 filled, 0 skipped, 0 failed\n")
    assert files(album / "out") == ["ann.png", "bob.png"]
    assert batch(*command, "--recursive") == 0
    assert capsys.readouterr().err.endswith("batch: 1 filled, 2 skipped, 0 failed\n")
    for number, name in enumerate(NAMES):
        expected = pipeline.fill(FillRequest(photo(number), encode_mask(HOLE))).response.image
        assert (album / "out" / f"{name}.png").read_bytes() == expected


def test_one_mask_for_all_photos_is_scaled_on_request(
    album: Path, pipeline: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    turned = Image.fromarray(np.rot90(face(HEIGHT, WIDTH)))  # the camera was held upright: orientation 6
    turned.save(album / "photos" / "turned.jpg", exif=_orientation(6))
    small = Image.fromarray(HOLE).resize((WIDTH // 2, HEIGHT // 2), Image.Resampling.NEAREST)
    small.save(album / "mask.png")
    command = (album / "photos", "--mask", album / "mask.png", "-o", album / "out")
    assert batch(*command) == 1
    assert capsys.readouterr().err.count("40x30 pixels and the image 80x60") == 3
    assert batch(*command, "--scale-mask") == 0
    assert files(album / "out") == ["ann.png", "bob.png", "turned.png"]
    scaled = np.asarray(small.resize((WIDTH, HEIGHT), Image.Resampling.NEAREST))
    expected = pipeline.fill(FillRequest(photo(0), encode_mask(scaled))).response.image
    assert (album / "out" / "ann.png").read_bytes() == expected


def _orientation(value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


def test_failures_are_listed_at_the_end(album: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (album / "photos" / "cut.png").write_bytes(photo(0)[:200])
    (album / "photos" / "dot.png").write_bytes(photo(0))
    (album / "masks" / "bob.png").write_bytes(encode_mask(HOLE.T))
    (album / "masks" / "cut.png").write_bytes(encode_mask(HOLE))
    assert batch(album / "photos", "--masks", album / "masks", "-o", album / "out") == 1
    *listed, summary = capsys.readouterr().err.splitlines()[-4:]
    assert summary == "batch: 1 filled, 0 skipped, 3 failed"
    for line, (name, reason) in zip(
        listed,
        [("bob", "must be equal"), ("cut", "image"), ("dot", "no mask and no transparent")],
        strict=True,
    ):
        assert line.startswith(f"batch: {album}/photos/{name}.png: ")
        assert reason in line
    assert files(album / "out") == ["ann.png"]


def test_invalid_arguments_are_reported_before_anything_is_written(
    album: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (album / "empty").mkdir()
    photos, out = album / "photos", album / "out"
    (album / "twins").mkdir()
    for suffix in ("png", "jpg"):
        (album / "twins" / f"ann.{suffix}").write_bytes(photo(0))
    for arguments, code, message in (
        ((album / "none", "-o", out), 2, "There is no folder"),
        ((album / "empty", "-o", out), 2, "There are no images"),
        ((album / "twins", "-o", out), 2, "have the same name"),
        ((photos, "--masks", album / "masks", "-o", photos), 2, "would replace"),
        ((photos, "--masks", album / "masks", "-o", album / "masks"), 2, "would replace"),
        ((photos, "-o", out, "--workers", 0), 2, "--workers"),
        ((photos, "-o", "nowhere://bucket"), 2, "nowhere"),
        ((photos, "-o", out, "--model", album / "none.onnx"), 1, "none.onnx"),
        ((photos, "-o", out, "--ray", "nonsense"), 1, "nonsense cannot be reached"),
        ((photos, "-o", out, "--ray", "127.0.0.1:1"), 1, "127.0.0.1:1 cannot be reached"),
    ):
        assert batch(*arguments) == code
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
    assert not out.exists()


def test_a_missing_ray_is_reported_with_how_to_install_it(
    album: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)  # importing it fails as if it were missing
    assert batch(album / "photos", "--masks", album / "masks", "-o", album / "out", "--ray", "local") == 1
    assert capsys.readouterr().err == 'batch: Ray is not installed: run pip install ".[ray]".\n'


def test_results_in_a_folder_of_photos_are_not_filled_again(album: Path) -> None:
    command = (album / "photos", "--masks", album / "masks", "-o", album / "photos" / "out", "--recursive")
    assert batch(*command) == 0
    assert batch(*command) == 0
    assert files(album / "photos" / "out") == ["ann.png", "bob.png", "sub/cem.png"]


def test_folders_may_be_urls_of_fsspec(pipeline: Pipeline, tmp_path: Path) -> None:
    system = fsspec.filesystem("memory")
    (tmp_path / "mask.png").write_bytes(encode_mask(HOLE))
    try:
        for name in ("a", "sub/b"):
            system.pipe_file(f"/album/photos/{name}.png", photo(3))
        command = ("memory://album/photos", "--mask", tmp_path / "mask.png", "-o", "memory://album/out")
        assert batch(*command, "--recursive") == 0
        expected = pipeline.fill(FillRequest(photo(3), encode_mask(HOLE))).response.image
        for name in ("a", "sub/b"):
            assert system.cat_file(f"/album/out/{name}.png") == expected
    finally:
        system.store.clear()


@pytest.mark.slow
def test_a_run_killed_at_a_third_fills_only_the_rest_when_restarted(
    tmp_path: Path, pipeline: Pipeline
) -> None:
    count, (photos, out) = 9, (tmp_path / "photos", tmp_path / "out")
    photos.mkdir()
    hole = scratch(500, 500, 7)  # so that each takes a while
    (tmp_path / "mask.png").write_bytes(encode_mask(hole))
    pictures = [encode(np.roll(face(500, 500), number, axis=1)) for number in range(count)]
    for number, picture in enumerate(pictures):
        (photos / f"{number:02}.png").write_bytes(picture)
    arguments = [str(photos), "--mask", str(tmp_path / "mask.png"), "-o", str(out), "--workers", "2"]
    command = [sys.executable, "-m", "serving.batch", "--model", str(MODEL), *arguments]

    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE) as process:
        while not out.is_dir() or len(list(out.glob("*.png"))) < count // 3:
            assert process.poll() is None
            time.sleep(0.001)
        others = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.communicate()
    assert psutil.wait_procs(others, timeout=PATIENCE)[1] == []  # the workers end as well
    done = {path.name: path.stat().st_mtime_ns for path in out.glob("*.png")}
    assert count // 3 <= len(done) < count

    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE)
    assert again.returncode == 0, again.stderr
    assert again.stderr.endswith(f"batch: {count - len(done)} filled, {len(done)} skipped, 0 failed\n")
    assert {name: (out / name).stat().st_mtime_ns for name in done} == done
    assert files(out) == [f"{number:02}.png" for number in range(count)]  # and nothing unfinished
    for number, picture in enumerate(pictures):
        expected = pipeline.fill(FillRequest(picture, encode_mask(hole))).response.image
        assert (out / f"{number:02}.png").read_bytes() == expected


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    """Variables for a command that may start Ray, with its token and sockets in a folder of their own."""
    with tempfile.TemporaryDirectory(prefix="ray-") as temporary:  # the path of a socket in it must be short
        yield os.environ | {"HOME": temporary, "RAY_TMPDIR": temporary}


@pytest.mark.slow
def test_on_ray_a_photo_is_retried_if_its_process_dies_and_a_killed_run_is_resumed(
    album: Path, pipeline: Pipeline, environment: dict[str, str]
) -> None:
    slow = large(2000)
    (album / "photos" / "sub" / "cem.png").write_bytes(slow["image"])
    (album / "masks" / "sub" / "cem.png").write_bytes(slow["mask"])
    arguments = [str(album / "photos"), "--masks", str(album / "masks"), "-o", str(album / "out")]
    ray = ["--ray", "local", "--workers", "1", "--recursive"]
    command = [sys.executable, "-m", "serving.batch", "--model", str(MODEL), *arguments, *ray]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL) as process:
        until(lambda: (album / "out" / "bob.png").exists())
        killed = kill_workers(process, 1)
        until(lambda: filling(process.pid) - killed != set())
        others = psutil.Process(process.pid).children(recursive=True)
        process.kill()
    assert psutil.wait_procs(others, timeout=PATIENCE)[1] == []  # Ray ends as well
    done = {name: (album / "out" / name).stat().st_mtime_ns for name in files(album / "out")}
    assert list(done) == ["ann.png", "bob.png"]

    log = album / "log"
    with (
        log.open("w") as output,
        subprocess.Popen(command, cwd=ROOT, env=environment, stderr=output) as process,
    ):
        kill_workers(process, 3)
        assert process.wait(PATIENCE) == 1
    *_, failure, summary = log.read_text().splitlines()
    assert re.match(f"batch: {album}/photos/sub/cem.png: 3 worker processes died", failure)
    assert summary == "batch: 0 filled, 2 skipped, 1 failed"
    assert {name: (album / "out" / name).stat().st_mtime_ns for name in files(album / "out")} == done
    for number, name in enumerate(NAMES[:2]):
        expected = pipeline.fill(FillRequest(photo(number), encode_mask(HOLE))).response.image
        assert (album / "out" / f"{name}.png").read_bytes() == expected


def kill_workers(process: "subprocess.Popen[bytes]", count: int) -> set[psutil.Process]:
    """Kill the Ray process that fills the slow photo, then those that replace it; return them."""
    killed = set[psutil.Process]()
    while len(killed) < count:
        until(lambda: filling(process.pid) - killed != set())
        for worker in filling(process.pid) - killed:
            worker.kill()
            killed.add(worker)
    return killed


def filling(pid: int) -> set[psutil.Process]:
    """The descendants of this process that fill a photo on Ray, which names processes after what they do."""
    found = set()
    for process in psutil.Process(pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if "ray::_Worker.fill" in " ".join(process.cmdline()):
                found.add(process)
    return found
