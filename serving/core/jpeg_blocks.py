"""Write a filled photo as JPEG by encoding only the 8x8 blocks that the hole touches.

All other blocks keep the coefficients of the photo's own file bit for bit, so repeated retouching does not
degrade the photo. In a touched block, known samples are taken from the file's coefficients, not from decoded
pixels.

`jpeglib` reads and writes the coefficients. It parses a client's data in C, so it runs in the sandbox, and gets the
file without its metadata.
"""

import contextlib
import os
import re
import struct
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from serving.core.graph import Bools
from serving.core.image_files import Samples, limit
from serving.core.sandbox_process import Call

try:
    import jpeglib
    from jpeglib._bind import CJpegLib  # the public functions write the photo into temporary files
except ImportError:  # there is no package for Linux on ARM
    CJpegLib = None

AVAILABLE = CJpegLib is not None
"""Whether `jpeglib` is available on this system."""

CELL = 32
"""Side in pixels of a square of whole blocks of every component: a block covers at most 32x32 pixels."""

_LIBJPEG = "9f"
_CELLS_AT_A_TIME = 1024
_GREY, _YCBCR = 1, 3  # libjpeg's numbers for colour spaces
_BASELINE_TO_PROGRESSIVE = (0xC0, 0xC1, 0xC2)
_DQT, _SOS, _APP0, _APP14, _COMMENT = 0xDB, 0xDA, 0xE0, 0xEE, 0xFE
_MARKER = re.compile(rb"\xff+([\x01-\xfe])")
_JFIF = b"JFIF\0"
_JFIF_SIZE = 12  # bytes before the size of its thumbnail
_MAX_SEGMENT = 65533  # bytes of content

# The discrete cosine transform of 8 samples, as a matrix, and the order in which a file lists the 64 steps of
# a quantisation table.
_FREQUENCY, _SAMPLE = np.mgrid[:8, :8]
_TRANSFORM = (np.cos((2 * _SAMPLE + 1) * _FREQUENCY * np.pi / 16) / 2).astype(np.float32)
_TRANSFORM[0] /= np.float32(np.sqrt(2))
_ZIGZAG = sorted(range(64), key=lambda n: (sum(divmod(n, 8)), n // 8 if sum(divmod(n, 8)) % 2 else n % 8))
_TO_YCBCR = np.array(
    [[0.299, 0.587, 0.114], [-0.168735892, -0.331264108, 0.5], [0.5, -0.418687589, -0.081312411]], np.float32
)


@dataclass(frozen=True)
class Cells:
    """The parts of a filled image that touch the hole.

    Attributes:
        positions: [n,2] int32, row and column of each cell.
        pixels: [n,CELL,CELL,C] uint8, C 1 or 3 (RGB); beyond the image, its last row and column are repeated.
        hole: [n,CELL,CELL] bool.
    """

    positions: NDArray[np.int32]
    pixels: NDArray[np.uint8]
    hole: Bools

    @classmethod
    def of(cls, pixels: Samples, hole: Bools) -> "Cells":
        """Return the cells of an image, HWC uint8, and its hole, HW bool, both as the file stores them."""
        height, width = hole.shape
        rows, columns = -(-height // CELL), -(-width // CELL)
        padded = np.zeros((rows * CELL, columns * CELL), bool)
        padded[:height, :width] = hole
        grid = padded.reshape(rows, CELL, columns, CELL).swapaxes(1, 2)
        positions = np.argwhere(grid.any(axis=(2, 3))).astype(np.int32)
        down, across = (CELL * positions[:, :, np.newaxis] + np.arange(CELL)).swapaxes(0, 1)
        down, across = np.minimum(down, height - 1), np.minimum(across, width - 1)
        cells = pixels[down[:, :, np.newaxis], across[:, np.newaxis, :]]
        return cls(positions, cells, grid[positions[:, 0], positions[:, 1]])


def replace_blocks(
    call: Call, data: bytes, positions: bytes, pixels: bytes, hole: bytes, segments: bytes
) -> bool:
    """Rewrite a JPEG file, replacing the blocks that a hole touches.

    Args:
        call: receives the array `file`, bytes.
        data: the file.
        positions: those of `Cells`, as bytes.
        pixels: likewise.
        hole: likewise.
        segments: the new file's metadata, as `metadata_segments` returns it.

    Returns:
        Whether this kind of file is supported: 8-bit baseline or progressive, grey or YCbCr.
    """
    try:
        jpeg = _Jpeg.parse(data)
    except (ValueError, IndexError, struct.error):
        return False
    limit(call, len(data), jpeg.height * jpeg.width)
    places = np.frombuffer(positions, np.int32).reshape(-1, 2)
    shape = (len(places), CELL, CELL)
    holes = np.frombuffer(hole, bool).reshape(shape)
    channels = len(jpeg.components)
    if len(pixels) != holes.size * channels:  # the photo was decoded to another number of channels
        return False
    cells = Cells(places, np.frombuffer(pixels, np.uint8).reshape(*shape, channels), holes)
    coefficients = _read(jpeg)
    for start in range(0, len(places), _CELLS_AT_A_TIME):
        part = slice(start, start + _CELLS_AT_A_TIME)
        _replace(coefficients, jpeg, Cells(places[part], cells.pixels[part], cells.hole[part]))
    written = _write(jpeg, coefficients)
    head = 2 + 2 + struct.unpack_from(">H", written, 4)[0]  # SOI and JFIF's segment
    file = written[:head] + segments + written[head:]
    call.put("file", np.frombuffer(file, np.uint8))
    return True


def warm_up() -> None:
    """Load the library before the first call."""
    if AVAILABLE:
        jpeglib.version.set(_LIBJPEG)


def metadata_segments(exif: bytes | None, xmp: bytes | None, icc_profile: bytes | None) -> bytes:
    """Return the segments of a JPEG file with this metadata. What is too long for a segment is left out."""
    contents = [(0xE1, prefix + value) for prefix, value in ((b"Exif\0\0", exif), (_XMP, xmp)) if value]
    if icc_profile:
        size = _MAX_SEGMENT - len(_ICC) - 2
        parts = [icc_profile[start : start + size] for start in range(0, len(icc_profile), size)]
        if len(parts) < 256:
            contents += [
                (0xE2, _ICC + bytes([number, len(parts)]) + part) for number, part in enumerate(parts, 1)
            ]
    return b"".join(_segment(marker, content) for marker, content in contents if len(content) <= _MAX_SEGMENT)


_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_ICC = b"ICC_PROFILE\0"


def _segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


@dataclass(frozen=True)
class _Component:
    """One component of a file: its blocks, and what they cover."""

    rows: int
    columns: int
    pixels_down: int  # pixels of the image that a sample covers
    pixels_across: int
    table: NDArray[np.float32]  # [8,8], the quantisation steps


@dataclass(frozen=True)
class _Jpeg:
    """A file's header, and the file without its metadata."""

    bare: bytes
    height: int
    width: int
    factors: list[tuple[int, int, int]]  # per component: vertical, horizontal, table
    tables: Mapping[int, NDArray[np.float32]]

    @classmethod
    def parse(cls, data: bytes) -> "_Jpeg":
        """Read the header.

        Raises:
            ValueError, IndexError, struct.error: the file is damaged, or of an unsupported kind.
        """
        position, kept = 2, [b"\xff\xd8"]
        tables: dict[int, NDArray[np.float32]] = {}
        frame = adobe = None
        is_jfif = False
        while True:
            marker = _MARKER.match(data, position)
            if marker is None:
                raise ValueError("no segment")
            code, position = marker.group(1)[0], marker.end()
            if code == _SOS:
                kept.append(b"\xff" + data[position - 1 :])
                break
            length = struct.unpack_from(">H", data, position)[0]
            content = data[position + 2 : position + length]
            position += length
            if code == _DQT:
                tables.update(_tables(content))
            elif code in _BASELINE_TO_PROGRESSIVE:
                frame = content
            elif code == _APP0 and content.startswith(_JFIF):
                is_jfif = True
                content = content[:_JFIF_SIZE] + b"\0\0"
            elif code == _APP14 and content.startswith(b"Adobe"):
                adobe = content[11]
            elif _APP0 <= code <= 0xEF or code == _COMMENT:
                continue
            kept.append(_segment(code, content))
        if frame is None:
            raise ValueError("another kind of frame")
        depth, height, width, count = struct.unpack_from(">BHHB", frame)
        identifiers = [frame[6 + 3 * n] for n in range(count)]
        factors = [(frame[7 + 3 * n] & 15, frame[7 + 3 * n] >> 4, frame[8 + 3 * n]) for n in range(count)]
        is_rgb = adobe == 0 if adobe is not None else not is_jfif and bytes(identifiers) == b"RGB"
        if depth != 8 or count not in (1, 3) or not height or is_rgb:
            raise ValueError("another kind of samples")
        jpeg = cls(b"".join(kept), height, width, factors, tables)
        if not all(_is_supported(factor, jpeg.largest) and factor[2] in tables for factor in factors):
            raise ValueError("other sampling factors")
        return jpeg

    @property
    def largest(self) -> tuple[int, int]:
        return max(factor[0] for factor in self.factors), max(factor[1] for factor in self.factors)

    @cached_property
    def components(self) -> list[_Component]:
        down, across = self.largest
        return [
            _Component(
                -(-self.height * vertical // (8 * down)),
                -(-self.width * horizontal // (8 * across)),
                down // vertical,
                across // horizontal,
                self.tables[table],
            )
            for vertical, horizontal, table in self.factors
        ]


def _is_supported(factor: tuple[int, int, int], largest: tuple[int, int]) -> bool:
    return all(
        own and longest % own == 0 and longest // own in (1, 2, 4)
        for own, longest in zip(factor, largest, strict=False)
    )


def _tables(content: bytes) -> Iterator[tuple[int, NDArray[np.float32]]]:
    position = 0
    while position < len(content):
        is_long, number = divmod(content[position], 16)
        table = np.zeros(64, np.float32)
        table[_ZIGZAG] = np.frombuffer(content, ">u2" if is_long else np.uint8, 64, position + 1)
        yield number, np.maximum(table, 1).reshape(8, 8)
        position += 1 + (128 if is_long else 64)


def _replace(coefficients: list[NDArray[np.int16]], jpeg: _Jpeg, cells: Cells) -> None:
    """Replace the blocks of some cells, in place."""
    values = cells.pixels.astype(np.float32)
    values = values @ _TO_YCBCR.T + np.array([0, 128, 128], np.float32) if len(coefficients) == 3 else values
    for index, (component, blocks) in enumerate(zip(jpeg.components, coefficients, strict=True)):
        samples = _blocks(values[..., index], component)
        new = samples.mean(axis=(4, 6)) - 128
        changed: Bools = np.any(_blocks(cells.hole, component), axis=(4, 6))
        height, width = new.shape[1:3]
        rows = cells.positions[:, 0, np.newaxis, np.newaxis] * height + np.arange(height)[:, np.newaxis]
        columns = cells.positions[:, 1, np.newaxis, np.newaxis] * width + np.arange(width)
        touched = changed.any(axis=(3, 4)) & (rows < component.rows) & (columns < component.columns)
        rows, columns = np.broadcast_arrays(rows, columns)
        where = rows[touched], columns[touched]
        old = _TRANSFORM.T @ (blocks[where] * component.table) @ _TRANSFORM
        wanted = np.where(changed[touched], new[touched], old)
        blocks[where] = np.rint(_TRANSFORM @ wanted @ _TRANSFORM.T / component.table)


def _blocks(cells: NDArray[Any], component: _Component) -> NDArray[Any]:
    """Return [n,CELL,CELL] as [n,rows,columns,8,down,8,across]: the pixels of each sample of each block."""
    down, across = component.pixels_down, component.pixels_across
    shape = (len(cells), CELL // (8 * down), 8, down, CELL // (8 * across), 8, across)
    return cells.reshape(shape).transpose(0, 1, 4, 2, 3, 5, 6)


def _read(jpeg: _Jpeg) -> list[NDArray[np.int16]]:
    """Return the quantised coefficients of each component, [rows,columns,8,8]."""
    coefficients = [np.zeros((c.rows, c.columns, 8, 8), np.int16) for c in jpeg.components]
    luma, *chroma = (array.ctypes for array in coefficients)
    blue, red = chroma or (None, None)
    with _file(jpeg.bare) as path:
        CJpegLib.read_jpeg_dct(str(path), luma, blue, red, None, None, None)
    return coefficients


def _write(jpeg: _Jpeg, coefficients: list[NDArray[np.int16]]) -> bytes:
    """Return the file with other coefficients, and with Huffman tables optimised for them."""
    luma, *chroma = (array.ctypes for array in coefficients)
    blue, red = chroma or (None, None)
    with _file(jpeg.bare) as source, _file(b"") as target:
        CJpegLib.write_jpeg_dct(
            str(source),
            str(target),
            luma,
            blue,
            red,
            None,
            image_dims=np.array([jpeg.height, jpeg.width], np.int32).ctypes,
            block_dims=None,
            in_color_space=_YCBCR if chroma else _GREY,
            in_components=len(coefficients),
            samp_factor=None,
            qt=None,
            quality=-1,
            quant_tbl_no=None,
            num_markers=0,
            marker_types=None,
            marker_lengths=None,
            markers=None,
            flags=["OPTIMIZE_CODING"],
        )
        return target.read_bytes()


@contextlib.contextmanager
def _file(content: bytes) -> Iterator[Path]:
    """Create a file in memory or, where the system has no such files, on disk."""
    if not hasattr(os, "memfd_create"):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "photo.jpg")
            path.write_bytes(content)
            yield path
        return
    with os.fdopen(os.memfd_create("jpeg"), "wb") as file:
        file.write(content)
        file.flush()
        yield Path(f"/proc/self/fd/{file.fileno()}")
