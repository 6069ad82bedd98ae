"""Any bytes are a picture or an error of the contract, and no decoder's process is left behind."""

import hostile_images
import numpy as np
import psutil
from hypothesis import given, settings
from mutations import mutated
from PIL import Image
from sample_pictures import encode, face

from serving.core import sandbox_process
from serving.core.codec import decode_image, decode_mask
from serving.core.errors import InvalidRequestError, TooManyPixelsError

_LIMIT = 100_000
_PHOTO = face(24, 32)
_DEEP = _PHOTO.astype(np.uint16) * 257

SEEDS = {
    "png": encode(_PHOTO),
    "png-palette": encode(Image.fromarray(_PHOTO).quantize(16), transparency=3),
    "png-animated": encode(
        Image.fromarray(_PHOTO), save_all=True, append_images=[Image.new("RGB", (32, 24))]
    ),
    "jpeg": encode(_PHOTO, "JPEG"),
    "jpeg-progressive": encode(_PHOTO, "JPEG", progressive=True),
    "jpeg-cmyk": encode(Image.fromarray(_PHOTO).convert("CMYK"), "JPEG"),
    "webp": encode(_PHOTO, "WEBP"),
    "webp-lossless": encode(_PHOTO, "WEBP", lossless=True),
    "webp-animated": encode(
        Image.fromarray(_PHOTO), "WEBP", save_all=True, append_images=[Image.new("RGB", (32, 24))]
    ),
    "bmp": encode(_PHOTO, "BMP"),
    "tiff": encode(_PHOTO, "TIFF"),
    "tiff-lzw": encode(_PHOTO, "TIFF", compression="tiff_lzw"),
    "tiff-jpeg": encode(_PHOTO, "TIFF", compression="jpeg"),
    "tiff-fax": encode(Image.fromarray(_PHOTO).convert("1"), "TIFF", compression="group4"),
    "tiff-16": hostile_images.tiff(_DEEP),
    "tiff-16-deflated": hostile_images.tiff(_DEEP, compression="zlib", predictor=True),
    "tiff-16-tiled": hostile_images.tiff(_DEEP, tile=(16, 16)),
    "tiff-planar": hostile_images.tiff(_DEEP.transpose(2, 0, 1), planarconfig="separate"),
    "tiff-12": hostile_images.tiff_of_12_bits(np.zeros((24, 32), np.uint16)),
    "png-16-animated": hostile_images.apng_of_16_bits(),
    "png-16-chunk": hostile_images.png_chunk_of_4_gigabytes(),
}


def _decoders() -> list[psutil.Process]:
    """The processes that decode; other tests' servers, which have decoders of their own, do not count."""
    helpers = [
        process
        for process in psutil.Process().children()
        if any(sandbox_process.__name__ in argument for argument in process.cmdline())
    ]
    return helpers + [child for helper in helpers for child in helper.children()]


@given(mutated(SEEDS))
@settings(settings.get_profile("fuzz"))
def test_damaged_files_are_pictures_or_refused(data: bytes) -> None:
    try:
        picture = decode_image(data, _LIMIT)
    except (InvalidRequestError, TooManyPixelsError):
        pass
    else:
        height, width, channels = picture.samples.shape
        assert 0 < height * width <= _LIMIT
        assert channels in (1, 2, 3, 4)
        assert picture.samples.dtype in (np.uint8, np.uint16)
    assert len(_decoders()) <= 6


@given(mutated(SEEDS))
@settings(settings.get_profile("fuzz"))
def test_the_same_file_is_always_the_same_picture(data: bytes) -> None:
    """Samples that depend on memory, instead of on the file, differ from one time to the next."""
    try:
        first = decode_mask(data, _LIMIT)
    except (InvalidRequestError, TooManyPixelsError):
        return
    assert (decode_mask(data, _LIMIT) == first).all()
