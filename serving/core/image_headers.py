"""Inspect an image file before it is decoded: its size, whether decoding it is bounded, and by what."""

import re
import struct
from collections.abc import Iterator

MAX_SCANS = 100
"""Maximum scans of a JPEG. Encoders write about ten; each is a pass over the whole image, even if empty."""

MAX_PIXELS_IN_PROCESS = 16_000_000
"""Maximum pixels of a file that `is_ordinary`: decoding more takes over a second, and cannot be cancelled."""

_MAX_CHUNKS = 20_000  # of a PNG file
_MAX_DEFLATE_RATIO = 1032  # as zlib's technical details state
_PNG = b"\x89PNG\r\n\x1a\n"
_OS2_HEADER_BYTES = 12  # of a BMP file whose header has sides of 16 bits
_SCAN = b"\xff\xda"
_MARKER = re.compile(rb"\xff[\x01-\xfe]")  # \xff\x00 is data and \xff\xff is fill
_ANIMATED = 2  # a flag of WebP's extended header
_BASELINE_TO_PROGRESSIVE = b"\xc0\xc1\xc2"  # frames of a JPEG: not the lossless and the arithmetic ones
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type of a PNG
# The first pixel and the steps of each pass of an interlaced PNG.
_ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def is_ordinary(data: bytes) -> bool:
    """Tell whether a file may be decoded in this process: its size bounds the time and memory it takes.

    These are 8-bit PNG, JPEG and WebP files, not animated and of a moderate size, whose decoders are the most
    tested ones.
    """
    if data.startswith(_PNG):
        return _is_ordinary_png(data)
    if data.startswith(b"\xff\xd8"):
        return _is_ordinary_jpeg(data)
    return _is_ordinary_webp(data)


def image_pixels(data: bytes) -> int | None:
    """Return the number of pixels that a PNG, JPEG, WebP or BMP file states, or None for any other file."""
    if data.startswith(_PNG) and len(data) >= 24:
        width, height = struct.unpack_from(">II", data, 16)
    elif data.startswith(b"BM") and len(data) >= 26:
        wide = struct.unpack_from("<I", data, 14)[0] != _OS2_HEADER_BYTES
        width, height = map(abs, struct.unpack_from("<ii" if wide else "<HH", data, 18))
    elif data.startswith(b"\xff\xd8"):
        frame = _jpeg_frame(data)
        if frame is None:
            return None
        _, _, height, width = frame
    else:
        size = webp_size(data)
        if size is None:
            return None
        width, height = size
    return int(width * height)


def webp_size(data: bytes) -> tuple[int, int] | None:
    """Return the width and height of a WebP file's canvas, or None for any other file or header.

    Pillow allocates the canvas when it opens the file.
    """
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP" or len(data) < 30:
        return None
    kind = data[12:16]
    if kind == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return None


def jpeg_scans(data: bytes) -> int:
    """Return the number of scans of a JPEG file."""
    scans, position = 0, 2
    while (marker := _MARKER.search(data, position)) is not None:
        code, position = data[marker.end() - 1], marker.end()
        if code == 0xD9:  # end of the image
            break
        scans += code == 0xDA
        if code >= 0xC0 and not 0xD0 <= code <= 0xD8:  # a segment with a length
            position += int.from_bytes(data[position : position + 2])
    return scans


def png_pixel_data(data: bytes) -> Iterator[memoryview]:
    """Yield the compressed pixels of a PNG file, chunk by chunk."""
    return (content for kind, content in _png_chunks(data) if kind == b"IDAT")


def png_size(data: bytes) -> int:
    """Return the size in bytes of a PNG's decompressed pixels, with one byte per row for its filter.

    Raises:
        ValueError: the header is invalid.
    """
    try:
        width, height, depth, colour_type, _, _, interlaced = struct.unpack_from(">IIBBBBB", data, 16)
        bits = depth * _CHANNELS[colour_type]
    except (struct.error, KeyError) as error:
        raise ValueError("its header is damaged") from error
    size = 0
    for x, y, step_x, step_y in _ADAM7 if interlaced else [(0, 0, 1, 1)]:
        columns, rows = -(-(width - x) // step_x), -(-(height - y) // step_y)
        if columns > 0 and rows > 0:
            size += rows * (1 + (columns * bits + 7) // 8)
    return size


def is_png_too_short(data: bytes) -> bool:
    """Tell whether a PNG has less compressed data than an image of its size can be compressed to."""
    return sum(map(len, png_pixel_data(data))) * _MAX_DEFLATE_RATIO < png_size(data)


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    view, position = memoryview(data), len(_PNG)
    while position + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        yield kind, view[position + 8 : position + 8 + length]
        position += length + 12


def _is_ordinary_png(data: bytes) -> bool:
    if len(data) < 33 or data[12:16] != b"IHDR":
        return False
    width, height, depth = struct.unpack_from(">IIB", data, 16)
    if depth > 8 or width * height > MAX_PIXELS_IN_PROCESS:
        return False
    for index, (kind, content) in enumerate(_png_chunks(data)):
        if index > _MAX_CHUNKS or kind == b"acTL" or len(content) > len(data):
            return False
    return True


def _is_ordinary_jpeg(data: bytes) -> bool:
    if data.count(_SCAN) > MAX_SCANS:  # those in metadata are counted, too
        return False
    frame = _jpeg_frame(data)
    if frame is None:
        return False
    code, depth, height, width = frame
    return (
        code in _BASELINE_TO_PROGRESSIVE
        and depth == 8
        and height > 0
        and width * height <= MAX_PIXELS_IN_PROCESS
    )


def _jpeg_frame(data: bytes) -> tuple[int, int, int, int] | None:
    """Return the frame's marker, depth, height and width, or None if it is not found."""
    position = 2
    while (marker := _MARKER.match(data, position)) is not None:
        code = data[position + 1]
        if 0xC0 <= code <= 0xCF and code not in b"\xc4\xc8\xcc":  # the frame's header
            return (
                None if len(data) < position + 9 else (code, *struct.unpack_from(">BHH", data, position + 4))
            )
        position = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2])
    return None


def _is_ordinary_webp(data: bytes) -> bool:
    size = webp_size(data)
    if size is None:
        return False
    animated = data[12:16] == b"VP8X" and data[20] & _ANIMATED
    return not animated and size[0] * size[1] <= MAX_PIXELS_IN_PROCESS
