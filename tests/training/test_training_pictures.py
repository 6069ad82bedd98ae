"""Picture folders: CelebA's layout, plain folders, and every way that either can be wrong."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from training.errors import DataError
from training.pictures import all_pictures, find_pictures, load_mask, load_picture


def write(path: Path, rgb: np.ndarray, *options: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR) if rgb.ndim == 3 else rgb, options)
    return path


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.fixture
def celeba_names(tmp_path: Path) -> Path:
    """CelebA's layout with six files; finding pictures does not open them."""
    touch(*(tmp_path / "img_align_celeba" / f"{i:06}.jpg" for i in range(1, 7)))
    return tmp_path


PARTITION = {1: 0, 2: 0, 3: 1, 4: 2, 5: 0, 6: 1}
CSV = "image_id,partition\n" + "".join(f"{i:06}.jpg,{part}\n" for i, part in PARTITION.items())
TXT = "".join(f"{i:06}.jpg {part}\n" for i, part in PARTITION.items())


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("list_eval_partition.csv", CSV),
        ("list_eval_partition.csv", CSV.replace("\n", "\r\n")),
        ("list_eval_partition.txt", TXT),
        ("list_eval_partition.txt", TXT.replace(" ", "   ") + "\n"),
    ],
    ids=["csv", "csv-crlf", "txt", "txt-wide"],
)
def test_celeba_is_split_by_its_partition_file(celeba_names: Path, name: str, content: str) -> None:
    (celeba_names / name).write_text(content, newline="")
    splits = find_pictures(celeba_names)
    assert [p.name for p in splits.train] == ["000001.jpg", "000002.jpg", "000005.jpg"]
    assert [p.name for p in splits.val] == ["000003.jpg", "000006.jpg"]
    assert [p.name for p in splits.test] == ["000004.jpg"]
    assert all(p.parent == celeba_names / "img_align_celeba" for p in splits.train)


def test_pictures_that_are_not_there_are_left_out(celeba_names: Path) -> None:
    """The official list names 202,599 pictures; a folder may hold some of them."""
    (celeba_names / "list_eval_partition.csv").write_text(CSV + "202599.jpg,2\n")
    (celeba_names / "img_align_celeba" / "000005.jpg").unlink()
    splits = find_pictures(celeba_names)
    assert [p.name for p in splits.train] == ["000001.jpg", "000002.jpg"]
    assert [p.name for p in splits.test] == ["000004.jpg"]


class TestPlainFolder:
    def names(self, count: int) -> list[str]:
        return [f"person {i % 7}/{i}.jpg" for i in range(count)]

    def test_is_split_8_1_1(self, tmp_path: Path) -> None:
        touch(*(tmp_path / name for name in self.names(1000)))
        splits = find_pictures(tmp_path)
        assert len(splits.train) + len(splits.val) + len(splits.test) == 1000
        assert len(splits.train) == pytest.approx(800, abs=40)
        assert len(splits.val) == pytest.approx(100, abs=30)
        assert len(splits.test) == pytest.approx(100, abs=30)

    def test_split_is_the_same_elsewhere_and_never_moves_a_picture(self, tmp_path: Path) -> None:
        here, there = tmp_path / "here", tmp_path / "there"
        touch(*(here / name for name in self.names(100)), *(there / name for name in self.names(300)))
        few, many = find_pictures(here), find_pictures(there)
        for split in ("train", "val", "test"):
            before = {p.relative_to(here) for p in getattr(few, split)}
            after = {p.relative_to(there) for p in getattr(many, split)}
            assert before == after & {Path(name) for name in self.names(100)}

    def test_split_is_the_same_as_in_every_earlier_version(self, tmp_path: Path) -> None:
        """An update must not turn anybody's test pictures into training pictures."""
        touch(*(tmp_path / f"{i}.png" for i in range(40)))
        splits = find_pictures(tmp_path)
        assert sorted(int(p.stem) for p in splits.val) == [0, 13, 15]
        assert sorted(int(p.stem) for p in splits.test) == [5, 10, 23, 26, 37]

    @pytest.mark.parametrize("count", [3, 4, 10])
    def test_a_folder_of_few_pictures_has_every_split(self, tmp_path: Path, count: int) -> None:
        touch(*(tmp_path / f"{i}.png" for i in range(1, 1 + count)))
        splits = find_pictures(tmp_path)
        assert splits == find_pictures(tmp_path)
        assert min(len(splits.train), len(splits.val), len(splits.test)) >= 1
        assert sorted((*splits.train, *splits.val, *splits.test)) == sorted(all_pictures(tmp_path))

    def test_hidden_files_are_left_out(self, tmp_path: Path) -> None:
        touch(tmp_path / "a.png", tmp_path / "._a.png")
        assert all_pictures(tmp_path) == (tmp_path / "a.png",)

    def test_every_split_is_sorted_and_only_pictures_count(self, tmp_path: Path) -> None:
        touch(*(tmp_path / name for name in self.names(60)), tmp_path / "notes.txt", tmp_path / "x.jpg.part")
        touch(
            *(
                tmp_path / f"y{suffix}"
                for suffix in (".JPG", ".jpeg", ".PNG", ".webp", ".bmp", ".tif", ".tiff")
            )
        )
        (tmp_path / "folder.jpg").mkdir()
        files = all_pictures(tmp_path)
        assert len(files) == 67
        assert list(files) == sorted(files)
        splits = find_pictures(tmp_path)
        assert all(list(split) == sorted(split) for split in (splits.train, splits.val, splits.test))


class TestWrongFolder:
    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"there is no data folder .*nowhere; give a folder of pictures"):
            find_pictures(tmp_path / "nowhere")

    def test_a_file(self, tmp_path: Path) -> None:
        touch(tmp_path / "photo.jpg")
        with pytest.raises(DataError, match=r"there is no data folder .*photo\.jpg"):
            find_pictures(tmp_path / "photo.jpg")

    def test_empty(self, tmp_path: Path) -> None:
        touch(tmp_path / "readme.txt")
        with pytest.raises(DataError, match=r"contains no pictures; supported suffixes: \.bmp, \.jpeg"):
            find_pictures(tmp_path)

    def test_too_few_to_split(self, tmp_path: Path) -> None:
        touch(tmp_path / "one.jpg")
        with pytest.raises(
            DataError, match=r"the \w+ split of .* is empty; a plain folder needs at least 3 pictures"
        ):
            find_pictures(tmp_path)

    def test_no_partition_file(self, celeba_names: Path) -> None:
        with pytest.raises(DataError, match=r"neither list_eval_partition\.csv nor list_eval_partition\.txt"):
            find_pictures(celeba_names)

    @pytest.mark.parametrize("line", ["000001.jpg", "000001.jpg,3", "000001.jpg,0,1", "000001.jpg;0"])
    def test_malformed_csv(self, celeba_names: Path, line: str) -> None:
        (celeba_names / "list_eval_partition.csv").write_text(f"image_id,partition\n000002.jpg,1\n{line}\n")
        with pytest.raises(
            DataError, match=r"\.csv, line 3: expected a file name and 0, 1 or 2, found '000001"
        ):
            find_pictures(celeba_names)

    def test_malformed_txt(self, celeba_names: Path) -> None:
        (celeba_names / "list_eval_partition.txt").write_text("000001.jpg 0\n000002.jpg train\n")
        with pytest.raises(DataError, match=r"\.txt, line 2: expected .* found '000002\.jpg train'"):
            find_pictures(celeba_names)

    @pytest.mark.parametrize("content", [b"\xff\xfe\x00binary\n", b"\x89PNG\r\n\x1a\n\x00\x00"])
    def test_partition_file_that_is_not_text(self, celeba_names: Path, content: bytes) -> None:
        (celeba_names / "list_eval_partition.csv").write_bytes(content)
        with pytest.raises(DataError, match=r"list_eval_partition\.csv cannot be read as text"):
            find_pictures(celeba_names)

    def test_partition_file_without_any_existing_picture(self, celeba_names: Path) -> None:
        (celeba_names / "list_eval_partition.csv").write_text("image_id,partition\n9.jpg,0\n")
        with pytest.raises(DataError, match=r"lists no picture in .*img_align_celeba"):
            find_pictures(celeba_names)

    def test_empty_partition(self, celeba_names: Path) -> None:
        (celeba_names / "list_eval_partition.csv").write_text("000001.jpg,0\n000002.jpg,1\n")
        with pytest.raises(DataError, match=r"the test split of .* is empty"):
            find_pictures(celeba_names)


class TestLoading:
    def test_celebas_centre_crop_is_rows_20_to_197(self, tmp_path: Path) -> None:
        picture = np.zeros((218, 178, 3), np.uint8)
        picture[:, :, 0] = np.arange(218)[:, None]
        picture[:, :, 1] = np.arange(178)[None, :]
        loaded = load_picture(write(tmp_path / "rows.png", picture))
        np.testing.assert_array_equal(loaded, picture[20:198])

    def test_colours_are_red_green_blue(self, tmp_path: Path) -> None:
        picture = np.full((178, 178, 3), (250, 120, 10), np.uint8)
        assert load_picture(write(tmp_path / "orange.png", picture))[5, 5].tolist() == [250, 120, 10]

    @pytest.mark.parametrize("shape", [(178, 178), (300, 178), (178, 300), (512, 700), (40, 90)])
    def test_any_size_becomes_178(self, tmp_path: Path, shape: tuple[int, int]) -> None:
        loaded = load_picture(write(tmp_path / "any.png", np.full((*shape, 3), 77, np.uint8)))
        assert loaded.shape == (178, 178, 3)
        assert loaded.dtype == np.uint8
        assert loaded.flags.c_contiguous
        assert np.all(loaded == 77)

    def test_the_middle_of_a_wide_picture_is_kept(self, tmp_path: Path) -> None:
        picture = np.zeros((100, 300, 3), np.uint8)
        picture[:, 100:200] = 200
        assert load_picture(write(tmp_path / "wide.png", picture)).min() == 200

    def test_another_size(self, tmp_path: Path, face: np.ndarray) -> None:
        assert load_picture(write(tmp_path / "face.png", face), size=64).shape == (64, 64, 3)

    @pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp", ".tif"])
    def test_formats(self, tmp_path: Path, face: np.ndarray, suffix: str) -> None:
        loaded = load_picture(write(tmp_path / f"face{suffix}", face))
        assert np.abs(loaded.astype(int) - face).mean() < 4

    def test_grey_alpha_and_16_bit(self, tmp_path: Path, face: np.ndarray) -> None:
        grey = cv2.cvtColor(face, cv2.COLOR_RGB2GRAY)
        loaded = load_picture(write(tmp_path / "grey.png", grey))
        np.testing.assert_array_equal(loaded, np.repeat(grey[:, :, None], 3, axis=2))
        deep = load_picture(write(tmp_path / "deep.png", face.astype(np.uint16) * 257))
        np.testing.assert_array_equal(deep, face)
        with_alpha = cv2.cvtColor(face, cv2.COLOR_RGB2BGRA)
        cv2.imwrite(str(tmp_path / "alpha.png"), with_alpha)
        np.testing.assert_array_equal(load_picture(tmp_path / "alpha.png"), face)


def damaged(kind: str, face: np.ndarray) -> bytes:
    jpeg = cv2.imencode(".jpg", face)[1].tobytes()
    png = cv2.imencode(".png", face)[1].tobytes()
    return {
        "empty": b"",
        "text": b"not a picture\n",
        "half a JPEG": jpeg[: len(jpeg) // 2],
        "most of a JPEG": jpeg[:-40],
        "half a PNG": png[:900],
    }[kind]


@pytest.mark.parametrize("kind", ["empty", "text", "half a JPEG", "most of a JPEG", "half a PNG"])
def test_a_damaged_picture_is_named(tmp_path: Path, face: np.ndarray, kind: str) -> None:
    (tmp_path / "bad.jpg").write_bytes(damaged(kind, face))
    with pytest.raises(DataError, match=r"bad\.jpg cannot be decoded as a picture; remove or replace it"):
        load_picture(tmp_path / "bad.jpg")


def test_a_missing_picture_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.jpg cannot be decoded"):
        load_picture(tmp_path / "gone.jpg")


# --- masks -------------------------------------------------------------------------------------------------------


def test_a_mask_is_cropped_and_resized_as_a_picture_is(tmp_path: Path) -> None:
    wide = np.zeros((100, 300), np.uint8)
    wide[20:40, 110:130] = 255
    wide[60, 150] = 200  # one pixel, which must not vanish when the mask shrinks
    mask = load_mask(write(tmp_path / "wide.png", wide), 50)
    assert (mask.shape, mask.dtype) == ((50, 50), np.dtype(np.uint8))
    expected = np.zeros((50, 50), np.uint8)
    expected[10:20, 5:15] = 255
    expected[30, 25] = 255
    np.testing.assert_array_equal(mask, expected)
    larger = load_mask(tmp_path / "wide.png", 200)
    np.testing.assert_array_equal(larger, np.where(wide[:, 100:200] >= 128, 255, 0).repeat(2, 0).repeat(2, 1))


@pytest.mark.parametrize(("value", "word"), [(0, "nothing"), (127, "nothing"), (255, "everything")])
def test_a_mask_without_hole_or_surroundings_is_refused(tmp_path: Path, value: int, word: str) -> None:
    path = write(tmp_path / "mask.png", np.full((60, 60), value, np.uint8))
    with pytest.raises(DataError, match=rf"mask\.png marks {word} in its central square; a mask is white at"):
        load_mask(path)
