"""Image files that crash a decoder, or make it use disproportionate memory or time. All are small."""

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image
from sample_pictures import png_chunk, png_file

_16_BIT_RGB = struct.pack(">BBBBB", 16, 2, 0, 0, 0)


def apng_of_16_bits() -> bytes:
    """A second frame with an invalid filter, and no control chunk for the first: OpenCV's decoder crashes on it."""
    rows = zlib.compress(bytes(4 * (1 + 4 * 6)))
    invalid_rows = zlib.compress((b"\x09" + bytes(4 * 6)) * 4)
    return png_file(
        (b"IHDR", struct.pack(">II", 4, 4) + _16_BIT_RGB),
        (b"acTL", struct.pack(">II", 2, 0)),
        (b"IDAT", rows),
        (b"fcTL", struct.pack(">IIIIIHHBB", 0, 4, 4, 0, 0, 1, 1, 0, 0)),
        (b"fdAT", struct.pack(">I", 1) + invalid_rows),
        (b"IEND", b""),
    )


def png_chunk_of_4_gigabytes() -> bytes:
    """A 16-bit PNG whose chunk of pixels declares 4 GiB and has a few bytes: OpenCV allocates all 4 GiB."""
    return (
        png_file((b"IHDR", struct.pack(">II", 8, 8) + _16_BIT_RGB))
        + struct.pack(">I", 0xFFFFFFF0)
        + b"IDAT"
        + bytes(80)
    )


def png_without_its_last_rows(depth: int = 8) -> bytes:
    """A complete zlib stream with 20 of 64 rows."""
    header = struct.pack(">IIBBBBB", 64, 64, depth, 2, 0, 0, 0)
    row = b"\0" + b"\xc8" * (64 * 3 * depth // 8)
    return png_file((b"IHDR", header), (b"IDAT", zlib.compress(row * 20)), (b"IEND", b""))


def png_of_many_chunks(chunks: int = 1_000_000) -> bytes:
    """A valid PNG with a million empty chunks before its pixels: 12 MB."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 8, 2, 0, 0, 0))
    pixels = png_chunk(b"IDAT", zlib.compress(bytes(64 * (1 + 64 * 3))))
    empty = png_chunk(b"prVt", b"")
    return b"\x89PNG\r\n\x1a\n" + header + empty * chunks + pixels + png_chunk(b"IEND", b"")


def jpeg_of_many_scans(side: int = 4000, scans: int = 2000) -> bytes:
    """A progressive JPEG with empty scans: each is a pass over the whole image."""
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), (90, 120, 60)).save(buffer, "JPEG", progressive=True)
    end = buffer.getvalue().rindex(b"\xff\xd9")
    scan = b"\xff\xda\x00\x08\x01\x01\x00\x3f\x3f\x10"
    return buffer.getvalue()[:end] + scan * scans + b"\xff\xd9"


def webp_canvas(side: int = 16_384) -> bytes:
    """A WebP file of a few bytes with a large canvas."""
    size = (side - 1).to_bytes(3, "little")
    chunk = b"VP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + size + size
    animation = b"ANIM" + struct.pack("<IIH", 6, 0, 0)
    return b"RIFF" + struct.pack("<I", 4 + len(chunk + animation)) + b"WEBP" + chunk + animation


def webp_without_its_header() -> bytes:
    """A WebP file that ends where its flags would be."""
    return webp_canvas()[:20]


def tiff_with_a_large_tile(side: int = 26_000, image: int = 32) -> bytes:
    """An image of 32x32 pixels in a tile of 676 million, compressed to less than a megabyte."""
    tile = deflated_zeros(side * side)
    return tiff_file(
        tile, [(256, image), (257, image), (258, 8), (259, 8), (262, 1), (277, 1), (322, side), (323, side)]
    )


def deflated_zeros(size: int) -> bytes:
    """A zlib stream of zeros that repeats one compressed stretch: blocks between full flushes are independent."""
    stretch = 1 << 20
    deflate = zlib.compressobj(9, wbits=-15)
    zeros = deflate.compress(bytes(stretch)) + deflate.flush(zlib.Z_FULL_FLUSH)
    rest = zlib.compressobj(9, wbits=-15)
    tail = rest.compress(bytes(size % stretch)) + rest.flush()
    checksum = (size % 65521) << 16 | 1
    return b"\x78\x9c" + zeros * (size // stretch) + tail + struct.pack(">I", checksum)


def tiff_of_12_bits(grey: NDArray[np.uint16]) -> bytes:
    """A grey TIFF of 12 bits per sample, of even width."""
    first, second = grey[:, ::2].astype(int), grey[:, 1::2].astype(int)
    packed = np.dstack([first >> 4, (first & 15) << 4 | second >> 8, second & 255]).astype(np.uint8)
    height, width = grey.shape
    return tiff_file(
        packed.tobytes(),
        [(256, width), (257, height), (258, 12), (259, 1), (262, 1), (277, 1), (278, height)],
    )


def tiff_file(pixels: bytes, tags: list[tuple[int, int]]) -> bytes:
    """A little-endian TIFF file with one strip or, if there is a tag for its width, one tile."""
    tiled = any(tag == 322 for tag, _ in tags)
    offset, count = (324, 325) if tiled else (273, 279)
    entries = sorted([*tags, (offset, 8), (count, len(pixels))])
    padding = bytes(len(pixels) % 2)
    directory = struct.pack("<H", len(entries)) + b"".join(
        struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries
    )
    start = struct.pack("<I", 8 + len(pixels + padding))
    return b"II*\0" + start + pixels + padding + directory + bytes(4)


def tiff(samples: NDArray[Any], **options: Any) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, samples, photometric="rgb", **options)
    return buffer.getvalue()


def planar_tiff(channels: int, **options: Any) -> bytes:
    """A 16-bit TIFF with one plane per channel: OpenCV decodes the first, and leaves the rest uninitialised."""
    extra = {"extrasamples": ["unassalpha"]} if channels == 4 else {}
    return tiff(np.zeros((channels, 96, 128), np.uint16), planarconfig="separate", **extra, **options)


def tiff_with_profile(kind: str, value: object) -> bytes:
    """A TIFF whose ICC profile is a text or a number."""
    count = len(value) + 1 if isinstance(value, str) else 1
    return tiff(np.zeros((96, 128, 3), np.uint8), extratags=[(34675, kind, count, value, True)])


REFUSED: dict[str, Callable[[], bytes]] = {
    "png-chunk-of-4-gigabytes": png_chunk_of_4_gigabytes,
    "png-without-its-last-rows": png_without_its_last_rows,
    "png-16-without-its-last-rows": lambda: png_without_its_last_rows(16),
    "jpeg-of-many-scans": jpeg_of_many_scans,
    "webp-animated-canvas": webp_canvas,
    "webp-without-its-header": webp_without_its_header,
    "tiff-with-a-large-tile": tiff_with_a_large_tile,
    "tiff-planar-rgb": lambda: planar_tiff(3),
    "tiff-planar-rgba": lambda: planar_tiff(4),
    "tiff-planar-deflated": lambda: planar_tiff(3, compression="zlib"),
    "tiff-profile-of-text": lambda: tiff_with_profile("s", "sRGB"),
    "tiff-profile-of-a-number": lambda: tiff_with_profile("H", 7),
}
"""Files that are refused with a 4xx."""
