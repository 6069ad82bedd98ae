import io
from pathlib import Path

import numpy as np
import pytest
from inpaint_client import FillResult, InpaintClient, InvalidInputError
from inpaint_client.folder import Failure, Job, fill_folder, plan
from inpaint_loopback import LoopbackServer, drop, encode, reply
from PIL import Image


class Folders:
    def __init__(self, root: Path) -> None:
        self.photos, self.masks, self.outputs = root / "photos", root / "masks", root / "outputs"
        for folder in (self.photos, self.masks, self.outputs):
            folder.mkdir()

    def plan(self, *, overwrite: bool = False) -> object:
        return plan(self.photos, self.masks, self.outputs, overwrite=overwrite)


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(tmp_path)


def test_names_are_matched_whatever_the_suffix(folders: Folders) -> None:
    for name in ("b.jpg", "a.PNG", "c.v2.webp", "notes.txt", ".hidden"):
        (folders.photos / name).touch()
    for name in ("a.png", "b.bmp", "c.v2.png", "c.png"):
        (folders.masks / name).touch()
    (folders.photos / "folder.png").mkdir()
    found = folders.plan()
    assert found.jobs == [
        Job(photo=folders.photos / photo, mask=folders.masks / mask, output=folders.outputs / output)
        for photo, mask, output in [
            ("a.PNG", "a.png", "a.png"),
            ("b.jpg", "b.bmp", "b.png"),
            ("c.v2.webp", "c.v2.png", "c.v2.png"),
        ]
    ]
    assert (found.finished, found.failures) == ([], [])


def test_finished_ones_are_skipped_unless_overwritten(folders: Folders) -> None:
    for name in ("a.png", "b.png"):
        (folders.photos / name).touch()
        (folders.masks / name).touch()
    (folders.outputs / "a.png").touch()
    found = folders.plan()
    assert [job.photo.name for job in found.jobs] == ["b.png"]
    assert found.finished == [folders.outputs / "a.png"]
    assert len(folders.plan(overwrite=True).jobs) == 2


def test_a_photo_without_mask_needs_transparency(folders: Folders) -> None:
    (folders.photos / "cutout.png").write_bytes(encode(np.zeros((4, 4, 4), np.uint8)))
    (folders.photos / "plain.png").write_bytes(encode(np.zeros((4, 4, 3), np.uint8)))
    (folders.photos / "broken.png").write_bytes(b"no picture")
    (folders.masks / "other.png").touch()
    found = folders.plan()
    assert [(job.photo.name, job.mask) for job in found.jobs] == [("cutout.png", None)]
    assert [failure.photo.name for failure in found.failures] == ["broken.png", "plain.png"]
    assert str(folders.masks / "plain") in found.failures[1].reason
    alone = plan(folders.photos, None, folders.outputs, overwrite=False)
    assert [job.photo.name for job in alone.jobs] == ["cutout.png"]
    assert "--masks" in alone.failures[0].reason


@pytest.mark.parametrize("twice", ["photos", "masks"])
def test_two_of_one_name_are_refused(folders: Folders, twice: str) -> None:
    for folder in (folders.photos, folders.masks):
        (folder / "a.png").touch()
    (getattr(folders, twice) / "a.jpg").touch()
    with pytest.raises(InvalidInputError, match=r"a.jpg and .*a.png share the name 'a'"):
        folders.plan()


def test_folders_that_cannot_be_right_are_refused(folders: Folders) -> None:
    with pytest.raises(InvalidInputError, match="no pictures in"):
        folders.plan()
    (folders.photos / "a.png").touch()
    with pytest.raises(InvalidInputError, match=r"cannot read the folder .*none"):
        plan(folders.photos, folders.photos / "none", folders.outputs, overwrite=False)
    for outputs in (folders.photos, folders.masks, folders.photos / ".." / "photos"):
        with pytest.raises(InvalidInputError, match="replace the inputs"):
            plan(folders.photos, folders.masks, outputs, overwrite=False)


@pytest.fixture
def jobs(folders: Folders, photo_png: bytes, mask_png: bytes) -> list[Job]:
    for name in "abcdef":
        (folders.photos / f"{name}.png").write_bytes(photo_png)
        (folders.masks / f"{name}.png").write_bytes(mask_png)
    return folders.plan().jobs


def run(client: InpaintClient, jobs: list[Job]) -> list[FillResult | Failure]:
    return list(fill_folder(client, jobs, output_size="original", max_concurrency=1, progress=False))


def test_results_are_written_as_they_come(client: InpaintClient, jobs: list[Job], filled: np.ndarray) -> None:
    assert all(isinstance(outcome, FillResult) for outcome in run(client, jobs))
    for job in jobs:
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(job.output.read_bytes()))), filled)


def test_one_bad_photo_does_not_stop_the_others(client: InpaintClient, jobs: list[Job]) -> None:
    jobs[2].photo.write_bytes(b"")
    outcomes = run(client, jobs)
    assert [isinstance(outcome, Failure) for outcome in outcomes] == [False, False, True, False, False, False]
    assert "0 bytes" in outcomes[2].reason
    assert not jobs[2].output.exists()


def test_a_photo_that_breaks_the_connection_does_not_stop_the_others(
    server: LoopbackServer, client: InpaintClient, jobs: list[Job]
) -> None:
    server.on_predict(*[drop] * 4)
    outcomes = run(client, jobs)
    assert [isinstance(outcome, Failure) for outcome in outcomes] == [True] + [False] * 5


@pytest.mark.parametrize("code", [401, 403, 404])
def test_a_refusal_of_everything_ends_it(
    server: LoopbackServer, client: InpaintClient, jobs: list[Job], code: int
) -> None:
    server.usual["/predictions/inpaint"] = reply(code)
    (outcome,) = run(client, jobs)
    assert outcome.fatal
    assert len(server.predictions) <= 3


def test_a_server_that_is_gone_ends_it(
    server: LoopbackServer, client: InpaintClient, jobs: list[Job]
) -> None:
    server.usual["/predictions/inpaint"] = drop
    server.usual["/ping"] = drop
    (outcome,) = run(client, jobs)
    assert outcome.fatal
