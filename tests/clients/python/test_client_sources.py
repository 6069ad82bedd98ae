import io
from pathlib import Path

import numpy as np
import pytest
from inpaint_client import InvalidInputError
from inpaint_client.sources import load_mask, load_photo
from inpaint_loopback import encode
from PIL import Image


def decode(data: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(data))
    assert image.format == "PNG"
    return np.asarray(image)


def test_files_and_bytes_pass_through_untouched(tmp_path: Path, photo: np.ndarray) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(photo, "JPEG", exif=exif)
    path = tmp_path / "фото.jpg"
    path.write_bytes(data)
    with path.open("rb") as file:
        for source in (path, str(path), data, bytearray(data), memoryview(data), io.BytesIO(data), file):
            assert load_photo(source) == data


def test_a_file_object_is_read_from_where_it_stands(photo_png: bytes) -> None:
    file = io.BytesIO(b"head" + photo_png)
    file.seek(4)
    assert load_photo(file) == photo_png


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3), (5, 7, 4)])
def test_arrays_arrive_pixel_for_pixel(shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    np.testing.assert_array_equal(decode(load_photo(array)), array)
    np.testing.assert_array_equal(decode(load_photo(array[::-1, ::2])), array[::-1, ::2])


def test_a_single_channel_axis_is_grey(hole: np.ndarray) -> None:
    grey = np.arange(35, dtype=np.uint8).reshape(5, 7, 1)
    np.testing.assert_array_equal(decode(load_photo(grey)), grey[:, :, 0])
    np.testing.assert_array_equal(decode(load_mask(hole[:, :, None])) >= 128, hole)


def test_anything_with_the_array_protocol_is_an_array(photo: np.ndarray) -> None:
    class Tensor:
        def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
            return photo

    np.testing.assert_array_equal(decode(load_photo(Tensor())), photo)


def test_masks_of_both_dtypes_mean_the_same(hole: np.ndarray) -> None:
    np.testing.assert_array_equal(decode(load_mask(hole)), np.where(hole, 255, 0))
    grey = np.where(hole, 128, 127).astype(np.uint8)
    np.testing.assert_array_equal(decode(load_mask(grey)), grey)


def test_an_empty_mask_is_no_mistake() -> None:
    assert decode(load_mask(np.zeros((4, 4), np.uint8))).max() == 0


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_pillow_modes_of_png_arrive_as_they_are(mode: str, photo: np.ndarray) -> None:
    image = Image.new("I;16", (3, 2), 40000) if mode == "I;16" else Image.fromarray(photo).convert(mode)
    sent = Image.open(io.BytesIO(load_photo(image)))
    assert sent.mode == image.mode
    assert sent.tobytes() == image.tobytes()


@pytest.mark.parametrize(
    ("mode", "arrives"), [("CMYK", "RGB"), ("YCbCr", "RGB"), ("HSV", "RGB"), ("PA", "RGBA")]
)
def test_other_pillow_modes_arrive_converted(mode: str, arrives: str) -> None:
    image = Image.new(mode, (3, 2))
    sent = Image.open(io.BytesIO(load_photo(image)))
    assert sent.mode == arrives
    assert sent.tobytes() == image.convert(arrives).tobytes()


def test_a_pillow_image_is_sent_as_its_pixels_lie(photo: np.ndarray) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    opened = Image.open(io.BytesIO(encode(photo, "PNG", exif=exif)))
    sent = Image.open(io.BytesIO(load_photo(opened)))
    assert 0x0112 not in sent.getexif()
    np.testing.assert_array_equal(np.asarray(sent), photo)


@pytest.mark.parametrize("mode", ["F", "I"])
def test_pillow_modes_without_a_known_range_are_refused(mode: str) -> None:
    with pytest.raises(InvalidInputError, match=f"mode {mode} .*RGB"):
        load_photo(Image.new(mode, (2, 2)))


def test_a_truncated_pillow_image_is_refused(photo_png: bytes) -> None:
    with pytest.raises(InvalidInputError, match="cannot be sent"):
        load_photo(Image.open(io.BytesIO(photo_png[:-2000])))


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((4, 4, 3), np.float32), "float32.*uint8 in"),
        (np.zeros((4, 4, 3), np.int64), "int64.*uint8 in"),
        (np.zeros((4, 4), bool), "bool.*uint8 in"),
        (np.zeros((3, 8, 8), np.uint8), r"\(3, 8, 8\).*height, width"),
        (np.zeros((2, 8, 8, 3), np.uint8), r"\(2, 8, 8, 3\).*height, width"),
        (np.zeros((8,), np.uint8), r"\(8,\).*height, width"),
        (np.zeros((0, 8, 3), np.uint8), r"\(0, 8, 3\)"),
    ],
)
def test_wrong_photo_arrays_are_told_what_is_right(array: np.ndarray, words: str) -> None:
    with pytest.raises(InvalidInputError, match=f"^image: .*{words}"):
        load_photo(array)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((4, 4, 3), np.uint8), r"\(4, 4, 3\).*\(height, width\)$"),
        (np.zeros((4, 4), np.float32), "float32.*bool"),
        (np.eye(4, dtype=np.uint8), "zeros and ones.*255"),
    ],
)
def test_wrong_mask_arrays_are_told_what_is_right(array: np.ndarray, words: str) -> None:
    with pytest.raises(InvalidInputError, match=f"^mask: .*{words}"):
        load_mask(array)


def test_an_array_that_will_not_be_read_is_refused() -> None:
    class OnAnotherDevice:
        def __array__(self, *args: object, **kwargs: object) -> np.ndarray:
            raise TypeError("copy the tensor to host memory first")

    with pytest.raises(InvalidInputError, match="host memory"):
        load_photo(OnAnotherDevice())


def test_unreadable_paths_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.png", tmp_path, "null\0byte", "a" * 5000):
        with pytest.raises(InvalidInputError, match="cannot read") as caught:
            load_photo(path)
        assert len(str(caught.value)) < 400


@pytest.mark.parametrize("empty", [b"", bytearray(), io.BytesIO()])
def test_nothing_is_no_picture(empty: object) -> None:
    with pytest.raises(InvalidInputError, match="0 bytes"):
        load_photo(empty)


def test_other_types_are_refused() -> None:
    for wrong, words in ((3, "int"), ([[1]], "list"), (io.StringIO("x"), "binary mode")):
        with pytest.raises(InvalidInputError, match=words):
            load_photo(wrong)
    closed = io.BytesIO(b"x")
    closed.close()
    with pytest.raises(InvalidInputError, match="closed"):
        load_photo(closed)
