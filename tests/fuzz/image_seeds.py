"""Image files that fuzzers damage."""

import hostile_images
import numpy as np
from PIL import Image
from sample_pictures import encode, face

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
