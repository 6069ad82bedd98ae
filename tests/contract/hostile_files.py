"""Picture files that no program writes: damaged ones, and bombs."""

import struct
import zlib

from sample_pictures import png_chunk, png_file


def png_bomb(width: int, height: int) -> bytes:
    """A valid, all-black 8-bit RGB PNG, a thousandth of its size in memory; made without compressing all of it.

    Deflate blocks between two full flushes are independent, so one compressed run of zeros is repeated.
    """
    stretch = 1 << 20
    size = height * (1 + 3 * width)  # each row begins with its filter type
    deflate = zlib.compressobj(9, wbits=-15)
    zeros = deflate.compress(bytes(stretch)) + deflate.flush(zlib.Z_FULL_FLUSH)
    rest = zlib.compressobj(9, wbits=-15)
    tail = rest.compress(bytes(size % stretch)) + rest.flush()
    adler = (size % 65521) << 16 | 1  # of `size` zeros
    stream = b"\x78\x9c" + zeros * (size // stretch) + tail + struct.pack(">I", adler)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return png_file((b"IHDR", header), (b"IDAT", stream), (b"IEND", b""))


def text_bomb(image: bytes) -> bytes:
    """The PNG with a compressed comment of 256 MB inserted after its header."""
    header = 8 + 4 + 4 + 13 + 4  # signature, and IHDR's length, type, content and checksum
    comment = b"Comment\0\0" + zlib.compress(bytes(256_000_000), 1)
    return image[:header] + png_chunk(b"zTXt", comment) + image[header:]


def damaged_png() -> bytes:
    """A complete PNG with correct checksums whose pixels are not a valid zlib stream."""
    header = struct.pack(">IIBBBBB", 128, 96, 8, 2, 0, 0, 0)
    return png_file((b"IHDR", header), (b"IDAT", b"\x78\x9c" + bytes(range(256))), (b"IEND", b""))


def no_pixels() -> bytes:
    """A PNG of width 0."""
    header = struct.pack(">IIBBBBB", 0, 96, 8, 2, 0, 0, 0)
    return png_file((b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b""))
