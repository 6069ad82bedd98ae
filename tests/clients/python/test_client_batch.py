import io
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from inpaint_client import FillResult, InpaintClient, InvalidInputError, OutputFormat
from inpaint_client.batch import Failure, Job, Plan, expand_pattern, fill_batch, plan
from inpaint_loopback import LoopbackServer, drop, encode, predict, reply
from PIL import Image


class Folders:
    def __init__(self, root: Path) -> None:
        self.photos, self.masks, self.outputs = root / "photos", root / "masks", root / "outputs"
        for folder in (self.photos, self.masks, self.outputs):
            folder.mkdir()

    def plan(self, **options: Any) -> Plan:
        return plan([self.photos], self.outputs, masks=self.masks, **options)

    def add(self, *names: str) -> None:
        """Create photos and masks of these names."""
        for folder in (self.photos, self.masks):
            for name in names:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).touch()


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(tmp_path)


def names(planned: Plan) -> list[str]:
    return [job.photo.name for job in planned.jobs]


def test_masks_are_found_by_name_with_any_suffix(folders: Folders) -> None:
    for name in ("b.jpg", "a.PNG", "c.v2.webp", "notes.txt", ".hidden", "._a.png"):
        (folders.photos / name).touch()
    for name in ("a.png", "b.bmp", "c.v2.png", "c.png"):
        (folders.masks / name).touch()
    (folders.photos / "folder.png").mkdir()
    planned = folders.plan()
    assert planned.jobs == [
        Job(photo=folders.photos / photo, mask=folders.masks / mask, output=folders.outputs / output)
        for photo, mask, output in [
            ("a.PNG", "a.png", "a.png"),
            ("b.jpg", "b.bmp", "b.png"),
            ("c.v2.webp", "c.v2.png", "c.v2.png"),
        ]
    ]
    assert (planned.finished, planned.failures) == ([], [])


def test_existing_results_are_skipped_unless_overwritten(folders: Folders) -> None:
    folders.add("a.png", "b.png")
    (folders.outputs / "a.png").touch()
    planned = folders.plan()
    assert names(planned) == ["b.png"]
    assert planned.finished == [folders.outputs / "a.png"]
    assert len(folders.plan(overwrite=True).jobs) == 2


def test_a_photo_without_a_mask_needs_transparent_pixels(folders: Folders) -> None:
    (folders.photos / "cutout.png").write_bytes(encode(np.zeros((4, 4, 4), np.uint8)))
    (folders.photos / "plain.png").write_bytes(encode(np.zeros((4, 4, 3), np.uint8)))
    (folders.photos / "broken.png").write_bytes(b"text")
    (folders.masks / "other.png").touch()
    planned = folders.plan()
    assert [(job.photo.name, job.mask) for job in planned.jobs] == [("cutout.png", None)]
    assert [failure.photo.name for failure in planned.failures] == ["broken.png", "plain.png"]
    assert str(folders.masks / "plain") in planned.failures[1].reason
    without_masks = plan([folders.photos], folders.outputs)
    assert names(without_masks) == ["cutout.png"]
    assert "--masks" in without_masks.failures[0].reason


def test_one_mask_for_all_photos(folders: Folders) -> None:
    folders.add("a.png", "b.png")
    mask = folders.photos / "mask.png"
    mask.touch()
    planned = plan([folders.photos], folders.outputs, mask=mask)
    assert [(job.photo.name, job.mask) for job in planned.jobs] == [("a.png", mask), ("b.png", mask)]


def test_subfolders_are_included_on_request(folders: Folders) -> None:
    folders.add("a.png", "day/a.png", "day/night/b.png", ".git/c.png")
    assert [job.output for job in folders.plan().jobs] == [folders.outputs / "a.png"]
    assert folders.plan(recursive=True).jobs == [
        Job(photo=folders.photos / name, mask=folders.masks / name, output=folders.outputs / name)
        for name in ("a.png", "day/a.png", "day/night/b.png")
    ]


def test_results_and_masks_inside_the_folder_of_photos_are_not_photos(folders: Folders) -> None:
    folders.add("a.png")
    outputs, masks = folders.photos / "filled", folders.photos / "masks"
    for folder in (outputs, masks):
        folder.mkdir()
        (folder / "a.png").touch()
    (outputs / "old.png").touch()
    planned = plan([folders.photos], outputs, masks=masks, recursive=True, overwrite=True)
    assert [job.photo for job in planned.jobs] == [folders.photos / "a.png"]


def test_files_and_folders_can_be_mixed(folders: Folders, tmp_path: Path) -> None:
    folders.add("a.png")
    single = tmp_path / "single.jpg"
    single.touch()
    planned = plan([single, folders.photos], folders.outputs, mask=folders.masks / "a.png")
    assert names(planned) == ["single.jpg", "a.png"]


@pytest.mark.parametrize(
    ("output_format", "expected"),
    [
        ("png", ["a.png", "b.png", "c.png"]),
        ("jpeg", ["a.jpg", "b.jpg", "c.jpg"]),
        ("same", ["a.png", "b.png", "c.JPG"]),
    ],
)
def test_results_have_the_suffix_of_their_format(
    folders: Folders, output_format: OutputFormat, expected: list[str]
) -> None:
    photos = [folders.photos / name for name in ("a.png", "b.tif", "c.JPG")]
    for photo in photos:
        photo.touch()
    folders.add("a.png")
    planned = plan(photos, folders.outputs, mask=folders.masks / "a.png", output_format=output_format)
    assert [job.output.name for job in planned.jobs] == expected


def test_patterns_are_expanded(tmp_path: Path) -> None:
    for name in ("b.jpg", "a.jpg", "c.png", "[x].jpg"):
        (tmp_path / name).touch()
    assert expand_pattern(f"{tmp_path}/?.jpg") == [f"{tmp_path}/a.jpg", f"{tmp_path}/b.jpg"]
    assert expand_pattern(f"{tmp_path}/**/c.png") == [f"{tmp_path}/c.png"]
    assert expand_pattern(f"{tmp_path}/[x].jpg") == [f"{tmp_path}/[x].jpg"]
    assert expand_pattern("missing.jpg") == ["missing.jpg"]
    with pytest.raises(InvalidInputError, match=r"no files match .*\*\.gif"):
        expand_pattern(f"{tmp_path}/*.gif")


@pytest.mark.parametrize("folder", ["photos", "masks"])
def test_two_files_of_the_same_name_are_rejected(folders: Folders, folder: str) -> None:
    folders.add("a.png")
    (getattr(folders, folder) / "a.jpg").touch()
    with pytest.raises(InvalidInputError, match=r"a.jpg and .*a.png have the same name 'a'"):
        folders.plan()


def test_invalid_folders_are_rejected(folders: Folders) -> None:
    with pytest.raises(InvalidInputError, match="no images in"):
        folders.plan()
    folders.add("a.png")
    for masks in (folders.photos / "none", folders.photos / "a.png"):
        with pytest.raises(InvalidInputError, match=f"cannot read the folder {masks}"):
            plan([folders.photos], folders.outputs, masks=masks)
    with pytest.raises(InvalidInputError, match=r"none\.png: no such file"):
        plan([folders.photos, folders.photos / "none.png"], folders.outputs)
    with pytest.raises(InvalidInputError, match=r"none\.png: no such file"):
        plan([folders.photos], folders.outputs, mask=folders.photos / "none.png")
    for outputs in (folders.photos, folders.masks, folders.photos / ".." / "photos"):
        with pytest.raises(InvalidInputError, match="would replace the inputs"):
            plan([folders.photos], outputs, masks=folders.masks)
    with pytest.raises(InvalidInputError, match=r"would replace .*a\.png"):
        plan([folders.photos / "a.png"], folders.photos, mask=folders.masks / "a.png")
    with pytest.raises(InvalidInputError, match=r"would replace .*a\.png"):
        plan([folders.photos / "a.png"], folders.masks, mask=folders.masks / "a.png")


@pytest.fixture
def jobs(folders: Folders, photo_png: bytes, mask_png: bytes) -> list[Job]:
    for name in "abcdef":
        (folders.photos / f"{name}.png").write_bytes(photo_png)
        (folders.masks / f"{name}.png").write_bytes(mask_png)
    return folders.plan().jobs


def run(
    client: InpaintClient, jobs: list[Job], *, scale_masks: bool = False, max_concurrency: int = 1
) -> list[FillResult | Failure]:
    results = fill_batch(
        client,
        jobs,
        scale_masks=scale_masks,
        output_size="original",
        max_concurrency=max_concurrency,
        progress=False,
    )
    collected = list(results)
    # After a fatal failure, requests are still running. Their connections are closed only if they finish here.
    for thread in threading.enumerate():
        if thread.name.startswith("inpaint"):
            thread.join(30)
    return collected


def test_results_are_written(sync_client: InpaintClient, jobs: list[Job], filled: np.ndarray) -> None:
    assert all(isinstance(result, FillResult) for result in run(sync_client, jobs))
    for job in jobs:
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(job.output.read_bytes()))), filled)


def test_results_of_subfolders_are_written_to_subfolders(
    sync_client: InpaintClient, folders: Folders, photo_png: bytes, mask_png: bytes
) -> None:
    folders.add("day/a.png")
    (folders.photos / "day/a.png").write_bytes(photo_png)
    (folders.masks / "day/a.png").write_bytes(mask_png)
    run(sync_client, folders.plan(recursive=True).jobs)
    assert (folders.outputs / "day" / "a.png").is_file()


def test_masks_are_scaled_on_request(
    server: LoopbackServer, sync_client: InpaintClient, jobs: list[Job]
) -> None:
    assert jobs[0].mask
    jobs[0].mask.write_bytes(encode(np.eye(20, dtype=bool)))
    (result,) = run(sync_client, jobs[:1], scale_masks=True)
    assert isinstance(result, FillResult)
    sent = server.predictions[0].parts["mask"].content
    assert Image.open(io.BytesIO(sent)).size == (48, 40)


def test_one_failure_does_not_stop_the_others(sync_client: InpaintClient, jobs: list[Job]) -> None:
    jobs[2].photo.write_bytes(b"")
    results = run(sync_client, jobs)
    assert [isinstance(result, Failure) for result in results] == [False, False, True, False, False, False]
    assert isinstance(results[2], Failure)
    assert "0 bytes" in results[2].reason
    assert not jobs[2].output.exists()


@pytest.mark.parametrize("failure", [drop, reply(502), reply(503)])
def test_a_photo_that_breaks_the_connection_does_not_stop_the_others(
    server: LoopbackServer, jobs: list[Job], photo: np.ndarray, failure: Any
) -> None:
    bad = encode(photo[::-1])
    jobs[0].photo.write_bytes(bad)
    server.usual["/predictions/inpaint"] = lambda handler: (
        failure(handler) if handler.recorded.parts["image"].content == bad else predict(handler)
    )
    with InpaintClient(server.url, retry_for=0.2) as client:
        results = run(client, jobs)
    assert [isinstance(result, Failure) for result in results] == [True] + [False] * 5


@pytest.mark.parametrize("code", [401, 403, 404])
def test_an_error_that_affects_every_photo_stops_the_batch(
    server: LoopbackServer, sync_client: InpaintClient, jobs: list[Job], code: int
) -> None:
    server.usual["/predictions/inpaint"] = reply(code)
    (result,) = run(sync_client, jobs)
    assert isinstance(result, Failure)
    assert result.fatal
    assert len(server.predictions) <= 3


@pytest.mark.parametrize("failure", [drop, reply(502)])
def test_a_server_that_stays_down_stops_the_batch(
    server: LoopbackServer, jobs: list[Job], failure: Any
) -> None:
    server.usual["/predictions/inpaint"] = failure
    server.usual["/ping"] = failure
    with InpaintClient(server.url, retry_for=0.1) as client:
        (result,) = run(client, jobs)
    assert isinstance(result, Failure)
    assert result.fatal


def test_a_server_that_restarts_is_waited_for(server: LoopbackServer, jobs: list[Job]) -> None:
    replacement: list[LoopbackServer] = []

    def restart() -> None:
        server.stop()
        time.sleep(0.3)
        replacement.append(LoopbackServer(server.server_port))

    def crash(handler: Any) -> None:
        server.usual["/predictions/inpaint"] = drop  # on the connections that are still open
        drop(handler)
        if not restarter.is_alive():
            restarter.start()

    restarter = threading.Thread(target=restart)
    server.on_predict(predict, crash)
    try:
        with InpaintClient(server.url, retry_for=30) as client:
            results = run(client, jobs, max_concurrency=3)
    finally:
        restarter.join()
        replacement[0].stop()
    assert all(isinstance(result, FillResult) for result in results)
    assert all(job.output.is_file() for job in jobs)
    assert len(replacement[0].predictions) >= 3


def test_an_invalid_concurrency_is_rejected(sync_client: InpaintClient, jobs: list[Job]) -> None:
    with pytest.raises(InvalidInputError, match="concurrency is 0"):
        run(sync_client, jobs, max_concurrency=0)
