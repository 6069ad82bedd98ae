"""A filled JPEG: only the blocks that the hole touches are encoded again."""

import io
from pathlib import Path
from typing import Any

import jpeglib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageCms
from sample_pictures import Bools, Samples, block, encode, face, scratch

from serving.core.codec import Picture, decode_image
from serving.core.encoders import with_metadata
from serving.core.image_files import as_stored
from serving.core.jpeg_edit import edit_jpeg

LIMIT = 1_000_000
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
ORIENTATION = 274
KINDS: dict[str, dict[str, Any]] = {
    "4:4:4": {"subsampling": 0},
    "4:2:2": {"subsampling": 1},
    "4:2:0": {"subsampling": 2},
    "progressive": {"progressive": True},
    "restart markers": {"restart_marker_blocks": 3},
    "finest": {"quality": 100, "subsampling": 0},
    "coarse": {"quality": 20},
    "16-bit tables": {"qtables": [[300] * 64, [400] * 64]},
}


def jpeg(photo: Samples, kind: str = "4:2:0", **options: Any) -> bytes:
    return encode(photo, "JPEG", **{"quality": 88, **KINDS[kind], **options})


def filled(file: bytes, hole: Bools, value: int = 90) -> Picture:
    """The photo with its hole in one colour, as it is shown."""
    picture = decode_image(file, LIMIT)
    samples = picture.samples.copy()
    samples[hole] = value
    return picture.with_samples(samples)


def edit(file: bytes, picture: Picture, hole: Bools) -> bytes:
    edited = edit_jpeg(file, with_metadata(picture, "all", picture.orientation), hole, lambda: None)
    assert edited is not None
    return edited


def coefficients(file: bytes, folder: Path) -> list[NDArray[np.int16]]:
    """The quantised coefficients of each component, [rows,columns,8,8]."""
    path = folder / "photo.jpg"
    path.write_bytes(file)
    read = jpeglib.read_dct(str(path))
    return [values for values in (read.Y, read.Cb, read.Cr) if values is not None]


def touched(hole: Bools, blocks: NDArray[np.int16], luma: NDArray[np.int16]) -> Bools:
    """Which blocks the hole touches: HW of the component's blocks."""
    down, across = (8 * round(luma.shape[axis] / blocks.shape[axis]) for axis in (0, 1))
    padded = np.zeros((blocks.shape[0] * down, blocks.shape[1] * across), bool)
    padded[: hole.shape[0], : hole.shape[1]] = hole[: padded.shape[0], : padded.shape[1]]
    grid = padded.reshape(blocks.shape[0], down, blocks.shape[1], across)
    return np.asarray(grid.any(axis=(1, 3)))


def assert_others_kept(before: bytes, after: bytes, stored_hole: Bools, folder: Path) -> None:
    old, new = coefficients(before, folder), coefficients(after, folder)
    assert len(old) == len(new)
    for was, now in zip(old, new, strict=True):
        kept = ~touched(stored_hole, was, old[0])
        np.testing.assert_array_equal(now[kept], was[kept])
    assert Image.open(io.BytesIO(before)).quantization == Image.open(io.BytesIO(after)).quantization  # type: ignore[attr-defined]


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(64, 96), (61, 83)])
def test_only_touched_blocks_are_encoded_again(
    kind: str, grey: bool, size: tuple[int, int], tmp_path: Path
) -> None:
    photo, hole = face(*size), block(*size, 10, 30, 11)
    options = {"qtables": [[300] * 64]} if grey and "qtables" in KINDS[kind] else {}
    file = jpeg(photo[:, :, 0] if grey else photo, kind, **options)
    picture = filled(file, hole)
    edited = edit(file, picture, hole)
    assert_others_kept(file, edited, hole, tmp_path)
    again = decode_image(edited, LIMIT).samples
    assert again.shape == picture.samples.shape
    if kind not in ("coarse", "16-bit tables"):
        assert np.abs(again[hole].astype(int) - 90).mean() < 12
    if grey or kind in ("4:4:4", "finest"):  # no interpolated colours: the pixels themselves are kept
        blocks = np.kron(touched(hole, *[coefficients(file, tmp_path)[0]] * 2), np.ones((8, 8), bool))
        far = ~blocks[: size[0], : size[1]]
        np.testing.assert_array_equal(again[far], picture.samples[far])


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_size_and_any_hole(data: st.DataObject, tmp_path: Path) -> None:
    height, width = data.draw(st.tuples(st.integers(1, 70), st.integers(1, 70)))
    seed = data.draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    photo = rng.integers(0, 256, (height, width, 3), np.uint8)
    hole = rng.random((height, width)) < data.draw(st.sampled_from([0, 0.001, 0.05, 0.9]))
    kind = data.draw(st.sampled_from(sorted(KINDS)))
    file = jpeg(photo, kind)
    assert_others_kept(file, edit(file, filled(file, hole), hole), hole, tmp_path)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_photo_stays_as_it_is_stored(orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    file = jpeg(face(61, 83), exif=exif)
    shown = decode_image(file, LIMIT)
    hole = scratch(*shown.size, 5)
    edited = edit(file, filled(file, hole), hole)
    assert Image.open(io.BytesIO(edited)).getexif().get(ORIENTATION, 1) == orientation
    again = decode_image(edited, LIMIT)
    assert again.size == shown.size
    assert np.abs(again.samples[hole].astype(int) - 90).mean() < 12
    assert_others_kept(file, edited, as_stored(hole, orientation), tmp_path)


def test_ten_retouches_change_no_other_block(tmp_path: Path) -> None:
    original = file = jpeg(face(120, 160))
    everything = np.zeros((120, 160), bool)
    for number in range(10):
        hole = block(120, 160, 10 + 9 * number, 12 * number, 7)
        file = edit(file, filled(file, hole, 20 * number), hole)
        everything |= hole
    assert_others_kept(original, file, everything, tmp_path)


def test_known_pixels_of_touched_blocks_do_not_degrade() -> None:
    """Filling the same hole again and again ends in the same file."""
    file, hole = jpeg(face(96, 96)), block(96, 96, 30, 30, 20)
    versions = [file := edit(file, filled(file, hole), hole) for _ in range(5)]
    assert versions[-1] == versions[-2]
    shown, original = (decode_image(data, LIMIT).samples for data in (file, jpeg(face(96, 96))))
    assert np.abs(shown.astype(int) - original)[~hole].mean() < 0.5


def test_metadata_is_kept_and_the_thumbnail_is_not() -> None:
    exif = Image.Exif()
    exif[271], exif[ORIENTATION] = "Camera", 6
    xmp = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>text</x:xmpmeta>"
    thumbnail = encode(Image.new("RGB", (16, 16)), "JPEG")
    file = jpeg(face(40, 60), exif=exif, xmp=xmp, icc_profile=SRGB * 150)  # longer than a segment
    file = file[:2] + b"\xff\xed" + (len(thumbnail) + 2).to_bytes(2) + thumbnail + file[2:]  # Photoshop's
    hole = block(60, 40, 10, 10, 9)
    edited = edit(file, filled(file, hole), hole)
    assert thumbnail not in edited
    with Image.open(io.BytesIO(edited)) as image:
        assert dict(image.getexif()) == {271: "Camera", ORIENTATION: 6}
        assert image.info["xmp"] == xmp
        assert image.info["icc_profile"] == SRGB * 150


def rgb_jpeg() -> bytes:
    """A JPEG that stores red, green and blue."""
    return encode(face(40, 60), "JPEG", keep_rgb=True)


@pytest.mark.parametrize(
    "file",
    [
        pytest.param(lambda: encode(Image.fromarray(face(40, 60)).convert("CMYK"), "JPEG"), id="cmyk"),
        pytest.param(rgb_jpeg, id="rgb"),
        pytest.param(lambda: encode(face(40, 60)), id="png"),
    ],
)
def test_other_kinds_are_left_to_the_encoder(file: Any) -> None:
    hole = block(40, 60, 10, 10, 9)
    assert edit_jpeg(file(), filled(file(), hole), hole, lambda: None) is None


def test_an_edit_can_be_cancelled() -> None:
    def cancel() -> None:
        raise KeyError

    file, hole = jpeg(face(700, 900), "progressive"), scratch(700, 900, 60)
    picture = filled(file, hole)
    with pytest.raises(KeyError):
        edit_jpeg(file, picture, hole, cancel)
