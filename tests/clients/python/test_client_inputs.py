import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from inpaint_client import ImageInput, InvalidInputError
from inpaint_client.inputs import load_image, load_mask, scale_mask
from inpaint_loopback import encode
from PIL import Image


def decode(data: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(data))
    assert image.format == "PNG"
    return np.asarray(image)


def test_files_and_bytes_are_unchanged(tmp_path: Path, photo: np.ndarray) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(photo, "JPEG", exif=exif)
    path = tmp_path / "фото.jpg"
    path.write_bytes(data)
    with path.open("rb") as file:
        for source in (path, str(path), data, bytearray(data), memoryview(data), io.BytesIO(data), file):
            assert load_image(source) == data


def test_a_file_is_read_from_its_current_position(photo_png: bytes) -> None:
    file = io.BytesIO(b"head" + photo_png)
    file.seek(4)
    assert load_image(file) == photo_png


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3), (5, 7, 4)])
def test_arrays_are_encoded_losslessly(shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    np.testing.assert_array_equal(decode(load_image(array)), array)
    np.testing.assert_array_equal(decode(load_image(array[::-1, ::2])), array[::-1, ::2])


def test_a_single_channel_is_grayscale(hole: np.ndarray) -> None:
    grey = np.arange(35, dtype=np.uint8).reshape(5, 7, 1)
    np.testing.assert_array_equal(decode(load_image(grey)), grey[:, :, 0])
    np.testing.assert_array_equal(decode(load_mask(hole[:, :, None])) >= 128, hole)


def test_objects_with_the_array_protocol_are_arrays(photo: np.ndarray) -> None:
    class Tensor:
        def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
            return photo

    np.testing.assert_array_equal(decode(load_image(Tensor())), photo)


def test_masks_can_be_bool_or_uint8(hole: np.ndarray) -> None:
    np.testing.assert_array_equal(decode(load_mask(hole)), np.where(hole, 255, 0))
    grey = np.where(hole, 128, 127).astype(np.uint8)
    np.testing.assert_array_equal(decode(load_mask(grey)), grey)


def test_an_empty_mask_is_valid() -> None:
    assert decode(load_mask(np.zeros((4, 4), np.uint8))).max() == 0


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_pillow_modes_that_png_supports_are_unchanged(mode: str, photo: np.ndarray) -> None:
    image = Image.new("I;16", (3, 2), 40000) if mode == "I;16" else Image.fromarray(photo).convert(mode)
    sent = Image.open(io.BytesIO(load_image(image)))
    assert sent.mode == image.mode
    assert sent.tobytes() == image.tobytes()


@pytest.mark.parametrize(
    ("mode", "expected"), [("CMYK", "RGB"), ("YCbCr", "RGB"), ("HSV", "RGB"), ("PA", "RGBA")]
)
def test_other_pillow_modes_are_converted(mode: str, expected: str) -> None:
    image = Image.new(mode, (3, 2))
    sent = Image.open(io.BytesIO(load_image(image)))
    assert sent.mode == expected
    assert sent.tobytes() == image.convert(expected).tobytes()


def test_a_pillow_image_is_sent_without_exif_orientation(photo: np.ndarray) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    opened = Image.open(io.BytesIO(encode(photo, "PNG", exif=exif)))
    sent = Image.open(io.BytesIO(load_image(opened)))
    assert 0x0112 not in sent.getexif()
    np.testing.assert_array_equal(np.asarray(sent), photo)


@pytest.mark.parametrize("mode", ["F", "I"])
def test_pillow_modes_without_a_known_range_are_rejected(mode: str) -> None:
    with pytest.raises(InvalidInputError, match=f"mode {mode} .*RGB"):
        load_image(Image.new(mode, (2, 2)))


def test_a_truncated_pillow_image_is_rejected(photo_png: bytes) -> None:
    with pytest.raises(InvalidInputError, match="cannot encode"):
        load_image(Image.open(io.BytesIO(photo_png[:-2000])))


@pytest.mark.parametrize(
    ("array", "message"),
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
def test_unsupported_image_arrays_are_rejected(array: np.ndarray, message: str) -> None:
    with pytest.raises(InvalidInputError, match=f"^image: .*{message}"):
        load_image(array)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((4, 4, 3), np.uint8), r"\(4, 4, 3\).*\(height, width\)$"),
        (np.zeros((4, 4), np.float32), "float32.*bool"),
        (np.eye(4, dtype=np.uint8), "zeros and ones.*255"),
    ],
)
def test_unsupported_mask_arrays_are_rejected(array: np.ndarray, message: str) -> None:
    with pytest.raises(InvalidInputError, match=f"^mask: .*{message}"):
        load_mask(array)


def test_a_tensor_on_another_device_is_rejected() -> None:
    class OnAnotherDevice:
        def __array__(self, *args: object, **kwargs: object) -> np.ndarray:
            raise TypeError("copy the tensor to host memory first")

    with pytest.raises(InvalidInputError, match="host memory"):
        load_image(OnAnotherDevice())


def test_unreadable_paths_are_rejected(tmp_path: Path) -> None:
    for path in (tmp_path / "none.png", tmp_path, "null\0byte", "a" * 5000):
        with pytest.raises(InvalidInputError, match="cannot read") as caught:
            load_image(path)
        assert len(str(caught.value)) < 400


@pytest.mark.parametrize("empty", [b"", bytearray(), io.BytesIO()])
def test_empty_inputs_are_rejected(empty: ImageInput) -> None:
    with pytest.raises(InvalidInputError, match="0 bytes"):
        load_image(empty)


def test_unsupported_types_are_rejected() -> None:
    unsupported: list[tuple[Any, str]] = [(3, "int"), ([[1]], "list"), (io.StringIO("x"), "binary mode")]
    for wrong, message in unsupported:
        with pytest.raises(InvalidInputError, match=message):
            load_image(wrong)
    closed = io.BytesIO(b"x")
    closed.close()
    with pytest.raises(InvalidInputError, match="closed"):
        load_image(closed)


def test_urls_are_rejected_with_a_message() -> None:
    with pytest.raises(InvalidInputError, match="is a URL; pass allow_urls=True"):
        load_image("https://example.org/photo.jpg")


def test_a_mask_is_scaled_without_new_values(photo: np.ndarray) -> None:
    mask = np.zeros((20, 24), np.uint8)
    mask[5:10, 6:12] = 200
    scaled = decode(scale_mask(encode(mask), encode(photo)))
    np.testing.assert_array_equal(scaled, mask.repeat(2, axis=0).repeat(2, axis=1))


def test_a_mask_is_scaled_to_the_size_after_exif_orientation(photo: np.ndarray) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    rotated = encode(photo, "JPEG", exif=exif)
    assert decode(scale_mask(encode(np.zeros((4, 4), np.uint8)), rotated)).shape == (48, 40)


def test_a_mask_of_the_right_size_is_not_scaled(photo_png: bytes, mask_png: bytes) -> None:
    assert scale_mask(mask_png, photo_png) is mask_png


@pytest.mark.parametrize("name", ["image", "mask"])
def test_damaged_files_cannot_be_scaled(photo_png: bytes, name: str) -> None:
    files = {"image": photo_png, "mask": encode(np.zeros((4, 4), np.uint8)), name: b"text"}
    with pytest.raises(InvalidInputError, match=f"^{name}: cannot be decoded"):
        scale_mask(files["mask"], files["image"])


def test_a_truncated_mask_cannot_be_scaled(photo_png: bytes) -> None:
    mask = encode(np.random.default_rng(1).integers(0, 256, (90, 90), np.uint8))
    with pytest.raises(InvalidInputError, match=r"^mask: "):
        scale_mask(mask[:-2000], photo_png)
